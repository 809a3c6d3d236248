//go:build cgo

package main

// #include <stdlib.h>
import "C"

import "unsafe"

// cgoPeers is the C library's malloc, through cgo.
func cgoPeers() []peer {
	return []peer{{name: "cgo malloc", note: "the C library's, a cgo call each", pair: cgoPair,
		hold: func(size, n int) { holdIn(cgoStore{}, size, n) }, store: func() store { return cgoStore{} }}}
}

type cgoStore struct{}

func (cgoStore) alloc(size int) unsafe.Pointer { return C.malloc(C.size_t(size)) }
func (cgoStore) free(p unsafe.Pointer)         { C.free(p) }

func cgoPair(size, n int) {
	for range n {
		p := C.malloc(C.size_t(size))
		touch(p)
		C.free(p)
	}
}
