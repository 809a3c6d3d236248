// Package fastpath holds the fast paths of the C door to a reviewed listing: cgo/fast.golden shows each entry
// point's instructions as they stand in the built library, and counts what a call executes that finds an object,
// or a free slot, in its vCPU's cache. A change of the assembly, of an offset, or of what the assembler makes of
// them shows in the diff of that file; `go test ./internal/fastpath -update` writes it anew.
//
// On a hit no conditional jump is taken: the path runs from the entry straight to the first ret.
package fastpath
