package alloc

// Buffers is a pool of byte buffers outside the Go heap: of any sizes, shared by all goroutines, and empty when
// nobody holds one, since what is put back goes to the P's cache. The zero value hands out buffers of 32 KiB; it
// is an httputil.BufferPool.
type Buffers struct {
	// Size is what Get returns, in bytes; 0: 32 KiB.
	Size int
	// Account, if set, counts what is handed out.
	Account *Account
}

const defaultBuffer = 32 << 10

// Get returns a buffer of the pool's size, its contents undefined. Where memory is short it comes from the Go
// heap, which Put recognises.
func (b *Buffers) Get() []byte {
	n := b.Size
	if n == 0 {
		n = defaultBuffer
	}
	return b.GetSize(n)
}

// GetSize returns a buffer of n bytes.
func (b *Buffers) GetSize(n int) []byte {
	var p []byte
	var err error
	if b.Account != nil {
		p, err = b.Account.MallocSlice(n)
	} else {
		p, err = MallocSlice(n)
	}
	if err != nil {
		return make([]byte, n)
	}
	return p
}

// Put takes a buffer back; its length does not matter, but it has to begin where it began. A buffer that append
// moved to the Go heap is left to the collector; the one it was before is lost to the pool, so don't append beyond
// the capacity.
func (b *Buffers) Put(p []byte) {
	if cap(p) == 0 || !Owns(base(p)) {
		return
	}
	if b.Account != nil {
		b.Account.FreeSlice(p)
		return
	}
	FreeSlice(p)
}
