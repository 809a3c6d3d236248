// Package runner measures cases for several subjects, interleaved: A B C, B C A, C A B, … In each round every
// subject runs once, in an order that rotates, so that none is always first after the pause or always last in a
// warm cache. Warm-up rounds come first and are thrown away.
//
// A subject that fails a case (it crashes, or the program's result is wrong) is recorded as failed there, takes
// no further part in it, and the others go on.
package runner
