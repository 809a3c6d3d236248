package heap

import (
	"sync/atomic"
	"unsafe"

	"github.com/vcmalloc/vcmalloc/internal/sys"
	"github.com/vcmalloc/vcmalloc/internal/units"
	"github.com/vcmalloc/vcmalloc/internal/vm"
	"github.com/vcmalloc/vcmalloc/pageheap"
)

// The side region serves allocations while a fork keeps the heap at rest. Chunks are bump allocated and
// counted: each change of a chunk is one compare-and-swap, so a child that was forked in the middle of
// anything finds the region whole, and at worst misses an object whose owner no longer exists.
const (
	chunkShift = 20 // 1 MiB
	chunkSize  = 1 << chunkShift
	maxChunks  = 1 << 14 // 16 GiB
	sideHeader = 16      // bytes before an object: its usable size, and a mark
	sideLive   = 0x5349_4445_4f42_4a31
	sideFreed  = 0x5349_4445_4652_4545
)

// A chunk's state: how much of it is handed out, how many objects live in it, and whether it is mapped.
// A request of more than a chunk takes a run of them; the first one's state speaks for all.
//
//	0 --claim--> owned, sealed --alloc--> owned (current) --seal--> owned, sealed --last object freed--> 0
//	                           --allocRun--> owned, sealed, 1 object; the others owned, inner, sealed ---^
//
// A thread may hold the number of a chunk that has been through all this meanwhile, so only a chunk that is
// owned and not sealed takes objects.
type chunkState uint64

const (
	chunkOwned  chunkState = 1 << 63 // mapped, or being mapped
	chunkInner  chunkState = 1 << 62 // a later part of a run
	chunkSealed chunkState = 1 << 61 // takes no more objects: unmapped when the last goes
)

func (s chunkState) used() uintptr { return uintptr(s & 0xffffffff) }
func (s chunkState) live() uint32  { return uint32(s>>32) & 0xffffff }

type side struct {
	base    uintptr
	states  uintptr // maxChunks words
	current uint64  // chunk that takes new objects, plus one
	objects vm.Table
	table   vm.Table
	bytes   int64 // mapped
}

func (s *side) init(pages *pageheap.Heap) bool {
	if !pages.NewEmptyTable(&s.objects, maxChunks<<chunkShift) || !pages.NewEmptyTable(&s.table, maxChunks*8) {
		return false
	}
	s.base, s.states = s.objects.Base(), s.table.Base()
	return true
}

func (s *side) contains(p uintptr) bool { return p-s.base < maxChunks<<chunkShift && s.base != 0 }

func (s *side) state(i uintptr) *uint64 { return sys.Word(s.states + i*8) }

// sideAlign is the alignment of the size class that would have served size bytes.
func sideAlign(size units.Bytes) units.Bytes { return min(max(size&-size, 16), units.PageSize) }

// alloc returns size bytes (at least one) aligned to align, or 0. Preconditions: align is a power of two, at
// least 16.
func (s *side) alloc(size, align units.Bytes) uintptr {
	size = max(size, 1)
	need := size + align + sideHeader
	if need < size || need > maxChunks<<chunkShift || !s.ready() {
		return 0
	}
	if need > chunkSize/4 {
		return s.allocRun(size, align, (need+chunkSize-1)>>chunkShift)
	}
	for {
		cur := atomic.LoadUint64(&s.current)
		if cur != 0 {
			if p := s.bump(uintptr(cur-1), size, align); p != 0 {
				return p
			}
		}
		next := s.claim(1)
		if next == maxChunks {
			return 0
		}
		atomic.StoreUint64(s.state(next), uint64(chunkOwned)) // now it takes objects
		if !atomic.CompareAndSwapUint64(&s.current, cur, uint64(next)+1) {
			s.seal(next) // somebody else was first
			continue
		}
		if cur != 0 {
			s.seal(uintptr(cur - 1))
		}
	}
}

// ready maps the table of states, once. Two threads may race: both map the same zeroes, so the loser's
// MAP_FIXED_NOREPLACE fails and all is well.
func (s *side) ready() bool {
	const n = maxChunks * 8
	if atomic.LoadInt64(&s.bytes) != 0 {
		return true
	}
	got, e := sys.Mmap(s.states, n, sys.ProtRead|sys.ProtWrite, sys.MapPrivate|sys.MapNoReserve|sys.MapFixedNoReplace)
	if e == 0 && got != s.states {
		sys.Munmap(got, n)
		return false
	}
	if e != 0 && e != sys.EEXIST {
		return false
	}
	if e == 0 {
		atomic.AddInt64(&s.bytes, n)
	}
	return true
}

func (s *side) bump(i, size, align uintptr) uintptr {
	w := s.state(i)
	for {
		old := chunkState(atomic.LoadUint64(w))
		start := s.base + i<<chunkShift
		p := (start + old.used() + sideHeader + align - 1) &^ (align - 1)
		end := p + (size+15)&^15 - start
		if old&(chunkOwned|chunkSealed) != chunkOwned || end > chunkSize {
			return 0
		}
		next := old&^0xffffffff | chunkState(end) + 1<<32
		if atomic.CompareAndSwapUint64(w, uint64(old), uint64(next)) {
			return s.stamp(p, size)
		}
	}
}

func (s *side) stamp(p, size uintptr) uintptr {
	sys.Store64(p-16, uint64(size))
	sys.Store64(p-8, sideLive)
	return p
}

// allocRun serves a large request with chunks of its own.
func (s *side) allocRun(size, align, n uintptr) uintptr {
	i := s.claim(n)
	if i == maxChunks {
		return 0
	}
	atomic.StoreUint64(s.state(i), uint64(chunkOwned|chunkSealed|1<<32|chunkState(n)))
	p := (s.base + i<<chunkShift + sideHeader + align - 1) &^ (align - 1)
	return s.stamp(p, size)
}

// claim finds n free chunks in a row and maps them; maxChunks when there are none.
func (s *side) claim(n uintptr) uintptr {
	run := uintptr(0)
	for i := uintptr(0); i < maxChunks; i++ {
		if !atomic.CompareAndSwapUint64(s.state(i), 0, uint64(chunkOwned|chunkSealed)) {
			s.unclaim(i-run, run)
			run = 0
			continue
		}
		if run++; run < n {
			continue
		}
		first := i + 1 - n
		a := s.base + first<<chunkShift
		got, e := sys.Mmap(a, n<<chunkShift, sys.ProtRead|sys.ProtWrite, sys.MapPrivate|sys.MapNoReserve|sys.MapFixedNoReplace)
		if e == 0 && got != a {
			sys.Munmap(got, n<<chunkShift)
			e = sys.EEXIST
		}
		if e == sys.EEXIST { // somebody else's mapping lies there: the chunks are never ours
			run = 0
			continue
		}
		if e != 0 {
			s.unclaim(first, n)
			return maxChunks
		}
		sys.NameMapping(a, n<<chunkShift, "vcmalloc side\x00")
		atomic.AddInt64(&s.bytes, int64(n)<<chunkShift)
		for j := uintptr(1); j < n; j++ {
			atomic.StoreUint64(s.state(first+j), uint64(chunkOwned|chunkInner|chunkSealed))
		}
		return first
	}
	s.unclaim(maxChunks-run, run)
	return maxChunks
}

// unclaim frees the states of n chunks, a run's first one last: it must not start over while those behind it
// still count as parts of a run.
func (s *side) unclaim(i, n uintptr) {
	for j := n; j > 0; j-- {
		atomic.StoreUint64(s.state(i+j-1), 0)
	}
}

// drop returns n chunks to the system. The address range stays ours: a late pointer into it is recognised.
func (s *side) drop(i, n uintptr) {
	sys.Munmap(s.base+i<<chunkShift, n<<chunkShift)
	atomic.AddInt64(&s.bytes, -int64(n)<<chunkShift)
	s.unclaim(i, n)
}

// seal lets chunk i take no more objects.
func (s *side) seal(i uintptr) {
	w := s.state(i)
	for {
		old := chunkState(atomic.LoadUint64(w))
		if old&chunkOwned == 0 || old&chunkSealed != 0 {
			return
		}
		if atomic.CompareAndSwapUint64(w, uint64(old), uint64(old|chunkSealed)) {
			if old.live() == 0 {
				s.drop(i, 1)
			}
			return
		}
	}
}

// first is the chunk whose state speaks for the one p lies in.
func (s *side) first(p uintptr) uintptr {
	i := (p - s.base) >> chunkShift
	for i > 0 && chunkState(atomic.LoadUint64(s.state(i)))&chunkInner != 0 {
		i--
	}
	return i
}

// isObject reports whether p is an object of the region that is not free.
func (s *side) isObject(p uintptr) bool {
	if p&15 != 0 || atomic.LoadInt64(&s.bytes) == 0 {
		return false
	}
	i := s.first(p)
	st := chunkState(atomic.LoadUint64(s.state(i)))
	return st&chunkOwned != 0 && st.live() > 0 && p >= s.base+i<<chunkShift+sideHeader && sys.Load64(p-8) == sideLive
}

func (s *side) usable(p uintptr) units.Bytes {
	if !s.isObject(p) {
		return 0
	}
	return units.Bytes(sys.Load64(p - 16))
}

// free gives p back; false if it is no live object of the region.
func (s *side) free(p uintptr) bool {
	if !s.isObject(p) || !atomic.CompareAndSwapUint64((*uint64)(unsafe.Pointer(sys.Word(p-8))), sideLive, sideFreed) {
		return false
	}
	i := s.first(p)
	w := s.state(i)
	for {
		old := chunkState(atomic.LoadUint64(w))
		next := old - 1<<32
		last := next.live() == 0
		if last && old&chunkSealed == 0 {
			next &^= 0xffffffff // the chunk starts over
		}
		if !atomic.CompareAndSwapUint64(w, uint64(old), uint64(next)) {
			continue
		}
		if last && old&chunkSealed != 0 {
			n := uintptr(1)
			if u := old.used(); u <= maxChunks && chunkState(atomic.LoadUint64(s.state(min(i+1, maxChunks-1))))&chunkInner != 0 {
				n = u
			}
			s.drop(i, n)
		}
		return true
	}
}
