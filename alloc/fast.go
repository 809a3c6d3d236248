//go:build !race

package alloc

import "unsafe"

// Malloc and Free are chosen when the package is initialised: the assembly of fast_amd64.s where it knows its way to
// the P's number, else portable.go. Both work in sections during which the goroutine stays on its P without being
// pinned: the runtime stops a goroutine by a signal only where the compiler has described the stack, and in assembly
// it has not (runtime.isAsyncSafePoint); nor is there a call in which the goroutine could be stopped otherwise. Learning
// the P's number is part of the section, three loads; by procPin and procUnpin it takes half of a pair's time.
//
// In builds for the race detector, into which the compiler puts calls, fast_race.go pins.

var (
	malloc func(uintptr) (unsafe.Pointer, error)
	free   func(unsafe.Pointer)
	walked bool // they are the assembly

	mallocCode, freeCode uintptr // where that begins: what function values point to
)

func init() { malloc, free, walked = choose() }

// choose is the functions behind Malloc and Free, and whether they are the assembly.
func choose() (func(uintptr) (unsafe.Pointer, error), func(unsafe.Pointer), bool) {
	if !walkHolds() {
		return mallocPortable, freePortable, false
	}
	slow, marked, free := mallocSlow, freeMarked, freeSlow
	door.mallocSlow, door.freeMarked, door.freeSlow = codeOf(&slow), codeOf(&marked), codeOf(&free)
	mallocCode, freeCode = fastCode()
	m, f := &mallocCode, &freeCode
	return *(*func(uintptr) (unsafe.Pointer, error))(unsafe.Pointer(&m)), *(*func(unsafe.Pointer))(unsafe.Pointer(&f)), true
}

// codeOf is where the code of the function at f begins.
func codeOf[F any](f *F) uintptr { return **(**uintptr)(unsafe.Pointer(f)) }

// In fast_amd64.s.
func mallocFast()
func freeFast()
func fastCode() (malloc, free uintptr)
func procNumber() uintptr // of the P, which is the P as long as nobody moves the goroutine

// Malloc returns size bytes, aligned to 16. Their contents are undefined. A request of 0 bytes gets an
// object of its own. The caller owns the memory until Free.
func Malloc(size uintptr) (unsafe.Pointer, error) { return malloc(size) }

// Free gives the object at p back. Free(nil) does nothing. Freeing an object twice, or a pointer that is none,
// costs a line on standard error and ends the process.
func Free(p unsafe.Pointer) { free(p) }
