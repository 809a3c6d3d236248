package alloc

import (
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/vcmalloc/vcmalloc/internal/sys"
)

// SharedArena is an Arena that many goroutines may allocate from at once. The zero value is ready. Reset and Free
// must not run beside anything else: they take the memory away from under every user.
//
// Allocations of up to sharedMax bytes are cut from a block that the goroutines share by an atomic addition; the
// rest, and new blocks, take a lock.
type SharedArena struct {
	block atomic.Pointer[sharedBlock]
	mu    sync.Mutex
	arena Arena
}

// sharedBlock is a zeroed stretch of an arena. Its offset may run past its end: then it is used up.
type sharedBlock struct {
	base, size uintptr
	off        atomic.Uintptr
}

const (
	sharedBlockSize = 64 << 10
	sharedMax       = 4 << 10
)

// NewSharedArena makes an arena for many goroutines; hint is as for NewArena.
func NewSharedArena(hint uintptr) *SharedArena {
	s := &SharedArena{arena: Arena{hint: hint}}
	s.arena.debug = debugArena(&s.arena)
	return s
}

// Alloc returns size bytes aligned to align, a power of two of at most a hugepage. If zeroed is false their
// contents are undefined.
func (s *SharedArena) Alloc(size, align uintptr, zeroed bool) (unsafe.Pointer, error) {
	if size > sharedMax || align > 16 {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.arena.Alloc(size, align, zeroed)
	}
	rounded := (size + 7) &^ 7
	if align == 16 {
		rounded += 8
	}
	for {
		b := s.block.Load()
		if b != nil {
			if end := b.off.Add(rounded); end <= b.size {
				p := b.base + end - rounded
				return sys.At((p + align - 1) &^ (align - 1)), nil
			}
		}
		if err := s.renew(b); err != nil {
			return nil, err
		}
	}
}

// renew puts a new block in the place of old, unless somebody has done so.
func (s *SharedArena) renew(old *sharedBlock) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.block.Load() != old {
		return nil
	}
	p, err := s.arena.Alloc(sharedBlockSize, 64, true)
	if err == nil {
		s.block.Store(&sharedBlock{base: uintptr(p), size: sharedBlockSize})
	}
	return err
}

// Reset makes all memory free for new allocations, as Arena.Reset. Nobody may use the arena meanwhile.
func (s *SharedArena) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.block.Store(nil)
	s.arena.Reset()
}

// Free gives all memory back, as Arena.Free. Nobody may use the arena meanwhile; afterwards allocations return
// ErrFreed.
func (s *SharedArena) Free() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.block.Store(nil)
	s.arena.Free()
}

// Size is how many bytes the arena holds.
func (s *SharedArena) Size() uintptr {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.arena.Size()
}
