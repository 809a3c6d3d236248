package telemetry

import (
	"unsafe"

	"github.com/vcmalloc/vcmalloc/telemetry/block"
)

const (
	blockBytes = int(unsafe.Sizeof(block.Block{}))
	// Where the reader looks for the sequence number alone.
	sequenceOffset = int64(unsafe.Offsetof(block.Block{}.Sequence))
)

// bytesOf is the memory of b. A block is plain numbers, so any bytes make a valid one.
func bytesOf(b *block.Block) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(b)), blockBytes)
}
