// Package sys is the core's operating system: raw system calls, the futex spin lock, the fatal line, calls
// into C, and typed access to memory that the Go heap knows nothing of.
//
// Everything here runs without the Go runtime (docs/design.md, "The runtime-free core"): no function
// allocates, blocks in the Go scheduler, or touches g. Errors are plain errno values; zero means success.
//
// Lock order: rank.go states it for all tiers; a build with the tag vcmlocks checks it.
package sys
