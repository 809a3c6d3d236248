// Package simcpu lets a test or a simulation decide on which CPU the heap believes to run: one thread plays all
// CPUs of a machine that is not there. It is no part of the core.
package simcpu

import "sync/atomic"

var current int32

// Set makes cpu the number that Function's function returns, to all threads.
func Set(cpu int32) { atomic.StoreInt32(&current, cpu) }

// Function is the address of a function by the C calling convention, for transfer.Tier's CPU and
// percpu.Sequences.
func Function() uintptr
