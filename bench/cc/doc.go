// Package cc compiles the load generators of bench/load and the shims, each once: the object's name carries a
// hash of its sources and flags, so that a change is noticed and nothing stale is ever measured.
package cc
