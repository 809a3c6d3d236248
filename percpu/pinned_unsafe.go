package percpu

import (
	"sync/atomic"
	"unsafe"

	"github.com/vcmalloc/vcmalloc/internal/sys"
	"github.com/vcmalloc/vcmalloc/internal/units"
)

// The mode of the Go door: a slab belongs to a P, and to the goroutine that has pinned itself to it. doc.go has
// the argument why nobody else is in a slab that was stopped.

// Ownership of slabs, in Cache.pinned.
const (
	pinnedOff    = iota
	pinnedPlain  // owners announce themselves by a plain store; a stopper fences for them with membarrier
	pinnedStrong // no membarrier here: owners announce themselves by an exchange
)

// Pinned is what a P's fast path reads and writes: one cache line, the owner's but for Slab. The fields are for
// fast paths that must not call, and so can't use Pop and Push; they do what these do, to the letter.
type Pinned struct {
	Slab   uintptr // the P's slab, or the empty slab; an entry of the slab table: see Cache.entry
	Inside uint32  // not 0: the owner is between the load of Slab, or Stash, and its last access there
	_      uint32
	Stash  uintptr // what package alloc keeps for the P beside the slab, under the same protocol: see FencePinned
	_      [40]byte
}

// PinnedShift is the log2 of the distance of two records, in bytes.
const PinnedShift = 6

const _ = -(unsafe.Sizeof(Pinned{}) ^ 1<<PinnedShift)

// PinnedAt is the record of P v in the table that starts at base (Cache.Records). Preconditions: v < VCPUs.
func PinnedAt(base uintptr, v uintptr) *Pinned { return (*Pinned)(sys.At(base + v<<PinnedShift)) }

// Records is the table of the Ps' records, for PinnedAt; 0 where a fast path must not use them: without
// membarrier the stores of Pop and Push would need to be exchanges, and AllocOn and FreeOn do that.
func (k *Cache) Records() uintptr {
	if k.pinned != pinnedPlain {
		return 0
	}
	return k.table
}

// Pop takes an object of class c from the P's slab; it returns an odd number if there is none.
// Preconditions: the caller is pinned to the P, and the record lies in Records.
func (r *Pinned) Pop(c units.ClassID) uintptr {
	r.Inside = 1
	s := r.Slab // once: a stopper may change it meanwhile
	h := *slab(s).headerAt(c)
	if !h.empty() {
		*slab(s).headerAt(c) = *slab(s).word(h.index() - 1)
	}
	r.Inside = 0
	return h.top()
}

// Push puts object p of class c in the P's slab if there is room. Preconditions: as for Pop.
func (r *Pinned) Push(c units.ClassID, p uintptr) bool {
	r.Inside = 1
	s := slab(r.Slab)
	h := *s.headerAt(c)
	ok := h.index() < s.end(c)
	if ok {
		*s.word(h.index()) = h
		*s.headerAt(c) = makeHeader(p, h.index()+1)
	}
	r.Inside = 0
	return ok
}

func (k *Cache) record(v units.VCPU) *Pinned { return PinnedAt(k.table, uintptr(v)) }

// initPinned chooses how owners announce themselves.
func (k *Cache) initPinned() {
	k.entryShift = PinnedShift
	k.pinned = pinnedPlain
	if _, e := sys.Membarrier(sys.MembarrierRegisterPrivate, 0, 0); e != 0 {
		k.pinned = pinnedStrong
	}
}

// AllocOn is Alloc for the owner of P v, from whose slab Pop got nothing. Preconditions: the caller is pinned
// to P v; c != 0.
func (k *Cache) AllocOn(v units.VCPU, c units.ClassID) uintptr {
	if uintptr(v) >= k.vcpus || k.stopped(v) && !k.ready(v) {
		return k.single(c)
	}
	return k.allocOn(v, c)
}

// FreeOn is Free for the owner of P v. Preconditions: as for AllocOn.
func (k *Cache) FreeOn(v units.VCPU, c units.ClassID, p uintptr) (bad uintptr) {
	if uintptr(v) >= k.vcpus || k.stopped(v) && !k.ready(v) {
		return k.freeSingle(c, p)
	}
	return k.freeOn(v, c, p)
}

// own announces the owner of P v inside its slab and returns it, or the empty slab; until disown.
func (k *Cache) own(v units.VCPU) slab {
	r := k.record(v)
	if k.pinned == pinnedPlain {
		r.Inside = 1
	} else {
		atomic.SwapUint32(&r.Inside, 1)
	}
	return slab(atomic.LoadUintptr(&r.Slab))
}

func (k *Cache) disown(v units.VCPU) { atomic.StoreUint32(&k.record(v).Inside, 0) }

func (k *Cache) popPinned(v units.VCPU, c units.ClassID, out []uintptr, n int) int {
	got := 0
	if s := k.own(v); uintptr(s) != k.empty { // pop would store the header, and this one is everybody's
		got = s.pop(c, out, n)
	}
	k.disown(v)
	return got
}

func (k *Cache) pushPinned(v units.VCPU, c units.ClassID, objects []uintptr) int {
	n := 0
	if s := k.own(v); uintptr(s) != k.empty {
		n = s.push(c, objects)
	}
	k.disown(v)
	return n
}

func (k *Cache) swapPinned(s slab, c units.ClassID, old, new uint32) bool {
	v := units.VCPU((uintptr(s) - k.slabs.Base()) >> areaShift)
	ok := k.own(v) == s && s.swapEnd(c, old, new)
	k.disown(v)
	return ok
}

// stopPinned is stop for this mode.
func (k *Cache) stopPinned(v units.VCPU) bool {
	r := k.record(v)
	atomic.StoreUintptr(&r.Slab, k.empty)
	if k.pinned == pinnedPlain && !k.FencePinned() {
		atomic.StoreUintptr(&r.Slab, k.info(v).slab)
		return false
	}
	r.WaitOutside()
	return true
}

// FencePinned makes owners who enter a section from now on see what was stored in their records before, and whoever
// is in one visible to WaitOutside. It reports false where the kernel refuses.
func (k *Cache) FencePinned() bool {
	_, e := sys.Membarrier(sys.MembarrierPrivate, 0, 0)
	return e == 0
}

// WaitOutside waits until the owner is out of the section that FencePinned found him in.
func (r *Pinned) WaitOutside() {
	for i := 0; atomic.LoadUint32(&r.Inside) != 0; i++ {
		if i < 100 {
			sys.Pause(4)
		} else { // the owner's thread is not running: its section is some ten instructions long
			sys.Sleep(20e3)
		}
	}
}
