// Package coretest is what the tests of the core's packages share: threads played by goroutines, chance that can be
// repeated, and soaks whose length is a variable's.
package coretest

import (
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"testing"
)

// Threads lets up to n goroutines stand for threads until the test's end: each has a processor of its own, and nothing
// stops the world while one of them waits in the kernel for another's lock.
func Threads(t testing.TB, n int) {
	procs, gc := runtime.GOMAXPROCS(n), debug.SetGCPercent(-1)
	t.Cleanup(func() {
		runtime.GOMAXPROCS(procs)
		debug.SetGCPercent(gc)
	})
}

// Seed is a random number that the test's log names.
func Seed(t testing.TB) uint64 {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return seed
}

// Rand is a source of chance from a Seed.
func Rand(t testing.TB) *rand.Rand { return rand.New(rand.NewPCG(Seed(t), 1)) }

// Long is n, a number of steps, or 20 times n where VCMTEST_LONG=1 asks for a soak.
func Long(n int) int {
	if os.Getenv("VCMTEST_LONG") == "1" {
		return n * 20
	}
	return n
}
