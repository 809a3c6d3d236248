package sys

import (
	"syscall"
	"unsafe"
)

const (
	mpolDefault   = 0
	mpolPreferred = 1
	maxMemNodes   = 1 << 10 // the kernel's largest MAX_NUMNODES
)

// PreferNode makes pages of the n bytes at addr that are touched from now on come from the memory of NUMA node, as
// long as there is some. The kernel refuses a node that it has not, sandboxes refuse the call. EPERM also where the
// calling thread has a memory policy of its own (numactl): that is somebody's choice.
//
//go:nosplit
func PreferNode(addr, n, node uintptr) Errno {
	var mode int32
	if _, e := call6(syscall.SYS_GET_MEMPOLICY, uintptr(unsafe.Pointer(&mode)), 0, 0, 0, 0, 0); e != 0 {
		return e
	}
	if mode != mpolDefault {
		return EPERM
	}
	var mask [maxMemNodes / 64]uint64
	if node >= maxMemNodes {
		return EINVAL
	}
	mask[node/64] = 1 << (node % 64)
	// The kernel takes one bit less than it is told.
	_, e := call6(syscall.SYS_MBIND, addr, n, mpolPreferred, uintptr(unsafe.Pointer(&mask)), maxMemNodes+1, 0)
	return e
}
