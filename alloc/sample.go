package alloc

import (
	"math"
	"math/rand/v2"
	"runtime"
	"sync"
	"time"
	"unsafe"

	"github.com/vcmalloc/vcmalloc/internal/sys"
)

// Sampling picks allocations at random, one in so many bytes, and remembers their stacks until they are freed.
// A sampled object has pages of its own, by which Free recognises it: the fast path of Free stays as it is. An
// allocation costs some 10 ns more while sampling is on.

// DefaultSampleRate is how many bytes lie between two samples on average: what Go's own heap profile takes.
const DefaultSampleRate = 512 << 10

const maxDepth = 32 // frames of a stack that are kept

// sample is one allocation that was picked.
type sample struct {
	size   uintptr
	weight float64 // how many such allocations it stands for
	stack  []uintptr
	tag    string
	when   time.Time
}

var sampler samplerState

type samplerState struct {
	mu    sync.Mutex
	rate  float64
	table uintptr // by P: bytes to go; outside the Go heap, where plain accesses of pinned goroutines race nobody
	live  map[uintptr]*sample
}

// StartSampling makes one allocation in about rate bytes a sample, for Leaks. It may be called again to change the
// rate. Objects allocated before are not known.
func StartSampling(rate int) error {
	if err := start(); err != nil {
		return err
	}
	s := &sampler
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.table == 0 {
		p, e := sys.Mmap(0, minPs*64, sys.ProtRead|sys.ProtWrite, sys.MapPrivate)
		if e != 0 {
			return ErrOutOfMemory
		}
		s.live = map[uintptr]*sample{}
		s.table = p
	}
	s.rate = float64(max(rate, 1))
	for v := range uintptr(minPs) {
		sys.Store64(s.table+v*64+8, math.Float64bits(s.rate)) // where due finds it
		sys.Store64(s.table+v*64, uint64(s.gap(s.rate)))
	}
	door.stashed.Store(0) // for good: Free has to forget what was sampled
	hooks.Or(hookSample)
	closeMalloc()
	return nil
}

// StopSampling ends it. What was sampled stays known to Leaks until it is freed.
func StopSampling() {
	s := &sampler
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.table == 0 {
		return
	}
	for v := range uintptr(minPs) {
		sys.Store64(s.table+v*64+8, math.Float64bits(math.Inf(1)))
		sys.Store64(s.table+v*64, math.MaxInt64)
	}
	if hooks.Load()&hookDebug == 0 && door.ps != 0 {
		openMalloc()
	}
}

// gap is how many bytes to let pass until the next sample: exponential, so that no pattern of the program's hides.
func (s *samplerState) gap(rate float64) int64 {
	return int64(min(rand.ExpFloat64()*rate, math.MaxInt64/2))
}

// due counts size bytes and reports whether they hit a sample.
func (s *samplerState) due(size uintptr) bool {
	v := uintptr(procPin()) % minPs
	at := s.table + v*64
	left := int64(sys.Load64(at)) - int64(size)
	rate := math.Float64frombits(sys.Load64(at + 8))
	hit := left < 0
	if hit || float64(left) > 100*rate { // the latter was counted down while the rate was being set
		left = s.gap(rate)
	}
	sys.Store64(at, uint64(left))
	procUnpin()
	return hit
}

// malloc makes a sampled object. Preconditions: start succeeded.
func (s *samplerState) malloc(size, align uintptr, tag string) (unsafe.Pointer, error) {
	p, _ := allocLarge(size, align)
	if p == 0 {
		return nil, ErrOutOfMemory
	}
	stack := callers()
	s.mu.Lock()
	defer s.mu.Unlock()
	weight := 1.0
	if x := float64(max(size, 1)) / s.rate; x < 50 {
		weight = 1 / (1 - math.Exp(-x)) // the chance to be picked, inverted
	}
	s.live[p] = &sample{size, weight, stack, tag, time.Now()}
	return sys.At(p), nil
}

func (s *samplerState) forget(p uintptr) {
	s.mu.Lock()
	delete(s.live, p)
	s.mu.Unlock()
}

func (s *samplerState) size(p uintptr) (uintptr, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o := s.live[p]; o != nil {
		return o.size, true
	}
	return 0, false
}

// callers is the stack of the caller of this package.
func callers() []uintptr {
	var pc [maxDepth + 8]uintptr
	n := runtime.Callers(2, pc[:])
	own := 0
	for own < n && inPackage(pc[own]) {
		own++
	}
	if own == n {
		own = 0
	}
	return append([]uintptr(nil), pc[own:min(n, own+maxDepth)]...)
}
