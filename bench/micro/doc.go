// Package micro is the suite of single operations: what one malloc and free, one growing realloc, one free from
// another thread cost. The generator is bench/load/micro.cc, one process per figure, which times itself, so that
// its start does not count.
package micro
