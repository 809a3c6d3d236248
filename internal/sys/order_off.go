//go:build !vcmlocks

package sys

// What a build with the tag vcmlocks checks: see order_on.go.

func taking(*mutex, rank) {}
func took(*mutex, rank)   {}
func giving(*mutex)       {}
func calling(string)      {}

// BeginHandler and EndHandler enclose what a signal handler does that may have interrupted its thread in the core: it
// takes no lock, but need not mind those that the thread holds when it maps memory.
func BeginHandler() {}
func EndHandler()   {}

// HoldsNone checks, in a build with the tag vcmlocks, that the caller holds no lock of the core.
func HoldsNone() {}

// ForgetLocks tells a build with that tag that a fork's child holds no locks; inside says that the fork came from a signal
// handler that had interrupted its thread in the core, so that it may.
func ForgetLocks(inside bool) {}
