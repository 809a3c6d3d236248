package main

import (
	"sync"
	"syscall"
	"unsafe"

	"github.com/dgraph-io/ristretto/v2/z"
	"modernc.org/memory"

	"github.com/vcmalloc/vcmalloc/alloc"
)

// peer is one way to get and give back memory. Each has loops of its own, so that no call is indirect that a
// program would make directly.
type peer struct {
	name string
	note string
	// pair allocates size bytes, writes the first and frees, n times. It may be called by many goroutines at once.
	pair func(size, n int)
	// hold allocates 64 objects, then frees them, n/64 times.
	hold func(size, n int)
	// store keeps values for a cache; nil: this peer can't free single objects.
	store func() store
}

// store allocates values outside the Go heap: at an address, until it is freed.
type store interface {
	alloc(size int) unsafe.Pointer
	free(p unsafe.Pointer)
}

const held = 64

func peers() []peer {
	return append([]peer{
		{name: "vcmalloc", pair: vcmPair, hold: vcmHold, store: func() store { return vcmStore{} }},
		{name: "vcmalloc arena", note: "alloc.Arena, one for each goroutine, used as ristretto's: reset every MiB", pair: arenaPair, hold: arenaHold},
		{name: "make", note: "make([]byte, n), the collector frees", pair: makePair, hold: makeHold},
		{name: "sync.Pool", note: "a pool for each size", pair: poolPair, hold: poolHold},
		{name: "modernc", note: "modernc.org/memory behind a mutex: it is for one goroutine", pair: moderncPair, hold: moderncHold,
			store: func() store { return new(moderncStore) }},
		{name: "ristretto", note: "ristretto/v2/z.Allocator, an arena for each goroutine: it frees no single object, so it is reset every MiB",
			pair: ristrettoPair, hold: ristrettoHold},
		{name: "mmap slabs", note: "a free list for each size over slabs from mmap, behind a mutex", pair: slabPair, hold: slabHold,
			store: func() store { return new(slabStore) }},
	}, cgoPeers()...)
}

func touch(p unsafe.Pointer) { *(*byte)(p) = 1 }

func vcmPair(size, n int) {
	for range n {
		p, err := alloc.Malloc(uintptr(size))
		if err != nil {
			panic(err)
		}
		touch(p)
		alloc.Free(p)
	}
}

func vcmHold(size, n int) {
	var objects [held]unsafe.Pointer
	for range n / held {
		for i := range objects {
			p, err := alloc.Malloc(uintptr(size))
			if err != nil {
				panic(err)
			}
			touch(p)
			objects[i] = p
		}
		for _, p := range objects {
			alloc.Free(p)
		}
	}
}

type vcmStore struct{}

func (vcmStore) alloc(size int) unsafe.Pointer {
	p, err := alloc.Malloc(uintptr(size))
	if err != nil {
		panic(err)
	}
	return p
}
func (vcmStore) free(p unsafe.Pointer) { alloc.Free(p) }

// sinks keep what make makes from living on the stack: one cache line for each goroutine's.
type sink struct {
	b []byte
	_ [104]byte
}

func makePair(size, n int) {
	s := new(sink)
	for range n {
		s.b = make([]byte, size)
		s.b[0] = 1
	}
	escape(s)
}

func makeHold(size, n int) {
	var objects [held][]byte
	for range n / held {
		for i := range objects {
			objects[i] = make([]byte, size)
			objects[i][0] = 1
		}
		clear(objects[:])
	}
	escape(&sink{b: objects[0]})
}

//go:noinline
func escape(s *sink) { last = s }

var last *sink

var pools [64]sync.Pool

func poolOf(size int) *sync.Pool {
	i := 0
	for 1<<i < size {
		i++
	}
	return &pools[i]
}

func poolGet(pool *sync.Pool, size int) *[]byte {
	if b, ok := pool.Get().(*[]byte); ok {
		return b
	}
	b := make([]byte, size)
	return &b
}

func poolPair(size, n int) {
	pool := poolOf(size)
	for range n {
		b := poolGet(pool, size)
		(*b)[0] = 1
		pool.Put(b)
	}
}

func poolHold(size, n int) {
	pool := poolOf(size)
	var objects [held]*[]byte
	for range n / held {
		for i := range objects {
			objects[i] = poolGet(pool, size)
			(*objects[i])[0] = 1
		}
		for _, b := range objects {
			pool.Put(b)
		}
	}
}

// moderncStore is the allocator that all goroutines share.
type moderncStore struct {
	mu sync.Mutex
	a  memory.Allocator
}

var modernc moderncStore

func (m *moderncStore) alloc(size int) unsafe.Pointer {
	m.mu.Lock()
	p, err := m.a.UnsafeMalloc(size)
	m.mu.Unlock()
	if err != nil {
		panic(err)
	}
	return p
}

func (m *moderncStore) free(p unsafe.Pointer) {
	m.mu.Lock()
	err := m.a.UnsafeFree(p)
	m.mu.Unlock()
	if err != nil {
		panic(err)
	}
}

func moderncPair(size, n int) {
	for range n {
		p := modernc.alloc(size)
		touch(p)
		modernc.free(p)
	}
}

func moderncHold(size, n int) { holdIn(&modernc, size, n) }

// holdIn is hold for peers whose calls are long beside an indirect one.
func holdIn(s store, size, n int) {
	var objects [held]unsafe.Pointer
	for range n / held {
		for i := range objects {
			objects[i] = s.alloc(size)
			touch(objects[i])
		}
		for _, p := range objects {
			s.free(p)
		}
	}
}

// arenaReset is how many bytes an arena hands out before it is reset.
const arenaReset = 1 << 20

// Arenas are kept from one run to the next: making one costs as much as ten thousand allocations.
var (
	arenas    = make(chan *z.Allocator, 64)
	vcmArenas = make(chan *alloc.Arena, 64)
)

func arenaPair(size, n int) {
	var a *alloc.Arena
	select {
	case a = <-vcmArenas:
	default:
		a = alloc.NewArena(arenaReset * 2)
	}
	used := 0
	for range n {
		if used += size; used > arenaReset {
			a.Reset()
			used = size
		}
		p, err := a.Alloc(uintptr(size), 1, false)
		if err != nil {
			panic(err)
		}
		touch(p)
	}
	a.Reset()
	vcmArenas <- a
}

func arenaHold(size, n int) { arenaPair(size, n) }

func ristrettoPair(size, n int) {
	var a *z.Allocator
	select {
	case a = <-arenas:
	default:
		a = z.NewAllocator(arenaReset*2, "bench")
	}
	used := 0
	for range n {
		if used += size; used > arenaReset {
			a.Reset()
			used = size
		}
		a.Allocate(size)[0] = 1
	}
	a.Reset()
	arenas <- a
}

func ristrettoHold(size, n int) { ristrettoPair(size, n) }

// slabStore cuts slabs into objects of powers of two and keeps what is free in lists threaded through it.
type slabStore struct {
	mu    sync.Mutex
	lists [32]uintptr
	left  [32][]byte
}

var slabs slabStore

const slabSize = 4 << 20

// slabHeader holds an object's list, before the object.
const slabHeader = 16

func (s *slabStore) alloc(size int) unsafe.Pointer {
	i := 5
	for 1<<i < size+slabHeader {
		i++
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.lists[i]; p != 0 {
		s.lists[i] = *(*uintptr)(unsafe.Add(nil, p))
		return unsafe.Add(nil, p)
	}
	if len(s.left[i]) < 1<<i {
		b, err := syscall.Mmap(-1, 0, max(slabSize, 1<<i), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
		if err != nil {
			panic(err)
		}
		s.left[i] = b
	}
	p := unsafe.Pointer(unsafe.SliceData(s.left[i]))
	s.left[i] = s.left[i][1<<i:]
	*(*int)(p) = i
	return unsafe.Add(p, slabHeader)
}

func (s *slabStore) free(p unsafe.Pointer) {
	i := *(*int)(unsafe.Add(p, -slabHeader))
	s.mu.Lock()
	*(*uintptr)(p) = s.lists[i]
	s.lists[i] = uintptr(p)
	s.mu.Unlock()
}

func slabPair(size, n int) {
	for range n {
		p := slabs.alloc(size)
		touch(p)
		slabs.free(p)
	}
}

func slabHold(size, n int) { holdIn(&slabs, size, n) }
