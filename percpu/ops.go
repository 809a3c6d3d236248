package percpu

import (
	"sync/atomic"
	"unsafe"

	"github.com/vcmalloc/vcmalloc/internal/sys"
	"github.com/vcmalloc/vcmalloc/internal/units"
)

// The operations on the caller's own slab, as restartable sequences, as owner of the P or under the slab's lock. With
// sequences v is only where the caller was a moment ago: the operation acts on the vCPU it is on now.

func (k *Cache) pop(v units.VCPU, c units.ClassID) uintptr {
	if k.seq.VCPU != 0 {
		return sys.CallC(k.seq.Pop, uintptr(c), 0, 0, 0)
	}
	var one [1]uintptr
	if k.popN(v, c, one[:], 1) == 0 {
		return 0
	}
	return one[0]
}

func (k *Cache) push(v units.VCPU, c units.ClassID, objects []uintptr) int {
	if len(objects) == 0 {
		return 0
	}
	if k.pinned != pinnedOff {
		return k.pushPinned(v, c, objects)
	}
	if !k.locked() {
		return int(sys.CallC(k.seq.Push, uintptr(c), uintptr(unsafe.Pointer(&objects[0])), uintptr(len(objects)), 0))
	}
	in := k.info(v)
	in.mu.Lock()
	n := 0
	if in.slab != 0 {
		n = slab(in.slab).push(c, objects)
	}
	in.mu.Unlock()
	return n
}

func (k *Cache) popN(v units.VCPU, c units.ClassID, out []uintptr, n int) int {
	if n == 0 {
		return 0
	}
	if k.pinned != pinnedOff {
		return k.popPinned(v, c, out, n)
	}
	if !k.locked() {
		return int(sys.CallC(k.seq.PopN, uintptr(c), uintptr(unsafe.Pointer(&out[0])), uintptr(n), 0))
	}
	in := k.info(v)
	in.mu.Lock()
	if in.slab != 0 {
		n = slab(in.slab).pop(c, out, n)
	} else {
		n = 0
	}
	in.mu.Unlock()
	return n
}

// swapEnd changes the end of class c if the caller runs on the vCPU of slab s, the end is still old, and no object
// lies beyond the new one.
func (k *Cache) swapEnd(v units.VCPU, s slab, c units.ClassID, old, new uint32) bool {
	if !k.locked() {
		return k.swapOwn(s, c, old, new)
	}
	in := k.info(v)
	in.mu.Lock()
	ok := slab(in.slab) == s && s.swapEnd(c, old, new)
	in.mu.Unlock()
	return ok
}

// swapOwn is swapEnd where slabs are owned: by a restartable sequence, or as the P's owner.
func (k *Cache) swapOwn(s slab, c units.ClassID, old, new uint32) bool {
	if k.pinned != pinnedOff {
		return k.swapPinned(s, c, old, new)
	}
	return sys.CallC(k.seq.End, uintptr(c), uintptr(s), uintptr(old), uintptr(new)) != 0
}

const (
	fenceUnknown = iota
	fenceReady
	fenceVisit   // no membarrier for rseq: who wants a slab has to go to its CPU
	fenceMissing // and that proves nothing: slabs can be taken by the vCPU's own threads only
)

// canFence reports whether membarrier fences sequences. The first call registers the process with the kernel, which
// small programs never need.
func (k *Cache) canFence() bool {
	f := atomic.LoadUint32(&k.fence)
	if f == fenceUnknown {
		f = fenceReady
		if _, e := sys.Membarrier(sys.MembarrierRegisterPrivateRseq, 0, 0); e != 0 {
			f = k.unfenced()
		}
		atomic.StoreUint32(&k.fence, f)
	}
	return f == fenceReady
}

// unfenced is what is left where membarrier is refused.
func (k *Cache) unfenced() uint32 {
	if k.exact {
		return fenceVisit
	}
	return fenceMissing
}

// canStop reports whether stop is likely to succeed, for callers that have to prepare for it. Where it is not, it wants
// a visit, as stop does.
func (k *Cache) canStop(v units.VCPU, why want) bool {
	if k.locked() || k.pinned != pinnedOff || k.canFence() || k.current() == v {
		return true
	}
	k.info(v).visit.wants |= why
	return false
}

// stop makes the slab of vCPU v the caller's own, until start. Preconditions: the caller holds its lock. It reports
// false, with no slab changed, when that can't be done; then a visit is wanted for the reasons given.
//
// A thread that runs on the vCPU needs no fence: at the instant in which its sequence puts the empty slab into the
// table nobody else runs there, so whoever was inside a sequence on that vCPU has been switched off it, and is
// aborted before he runs again. The same holds for mm_cids: no two threads have one at a time.
func (k *Cache) stop(v units.VCPU, why want) bool {
	if k.locked() {
		return true // the lock is ownership
	}
	if k.pinned != pinnedOff {
		return k.stopPinned(v)
	}
	in := k.info(v)
	if sys.CallC(k.seq.Swap, in.slab, k.empty, 0, 0) != 0 {
		return true
	}
	if k.canFence() {
		atomic.StoreUintptr(k.entry(v), k.empty)
		_, e := sys.Membarrier(sys.MembarrierPrivateRseq, 0, 0)
		if e == 0 {
			return true
		}
		k.start(v)
		atomic.StoreUint32(&k.fence, k.unfenced())
	}
	in.visit.wants |= why
	return false
}

// start gives the slab back to its vCPU.
func (k *Cache) start(v units.VCPU) { atomic.StoreUintptr(k.entry(v), k.info(v).slab) }

// stopped reports whether somebody else owns the slab of vCPU v at the moment.
func (k *Cache) stopped(v units.VCPU) bool { return atomic.LoadUintptr(k.entry(v)) == k.empty }

// UseLocks makes slabs guarded by their locks from now on. Preconditions: no thread is in a sequence any more, and
// none finds a slab by one.
func (k *Cache) UseLocks() { atomic.StoreUintptr(&k.seq.VCPU, 0) }

// Locks is where the locks lie that guard slabs, for a fast path written in assembly: that of vCPU v is at
// base + v<<LockShift. 0: no locks guard them.
func (k *Cache) Locks() (base uintptr) {
	if k.locked() {
		base = k.infos.Base()
	}
	return base
}

// LockShift is described at Locks.
const LockShift = infoShift

// AfterFork forgets what the kernel may not have passed on to a child. A thread that is no more may have held a
// slab's lock: the assembly's path does not pass the heap's gate. It leaves a slab whole at every store, so the
// lock is all that is to be undone.
func (k *Cache) AfterFork() {
	k.fence = fenceUnknown
	for v := units.VCPU(0); k.locked() && uintptr(v) < k.vcpus; v++ {
		k.info(v).mu = sys.VCPULock{}
	}
}
