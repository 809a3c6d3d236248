// Package simcpu lets a test or a simulation decide on which CPU the heap believes to run: one thread plays all
// CPUs of a machine that is not there. It is no part of the core.
package simcpu

import (
	"sync/atomic"

	"github.com/vcmalloc/vcmalloc/internal/sys"
)

var current int32

// Set makes cpu the number that Function's function returns, to all threads.
func Set(cpu int32) { atomic.StoreInt32(&current, cpu) }

// Function is the address of a function by the C calling convention, for transfer.Tier's CPU and
// percpu.Sequences.
func Function() uintptr

// Text is the address of s, ended by NUL, outside the Go heap: the core reads text by address, which checkptr allows
// nowhere else. It is never freed. 0 if the system has no memory.
func Text(s string) uintptr {
	a, e := sys.Mmap(0, uintptr(len(s))+1, sys.ProtRead|sys.ProtWrite, sys.MapPrivate)
	if e != 0 {
		return 0
	}
	for i := range len(s) {
		*(*byte)(sys.At(a + uintptr(i))) = s[i]
	}
	return a
}
