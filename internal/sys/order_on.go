//go:build vcmlocks

package sys

import (
	"sync/atomic"
	"syscall"
	"unsafe"
)

// Who holds which locks stands in one fixed table, because the core has no thread-local storage of its own: a row for
// each thread that holds a lock or waits for one. A row is found by its owner's key, in a window of the table; only
// its owner writes the rest of it. In a Go program the key is the goroutine, for a test that calls the core without
// pinning may be moved to another thread with a lock held.
const (
	rows    = 1024
	window  = 64 // rows that a key may be in
	deepest = 8  // locks that one thread may hold; what the order allows are 4
	tidKey  = 1 << 63
)

type row struct {
	owner    uintptr // 0: free
	n        uint32
	handlers uint32 // signal handlers that have interrupted the owner, one in another
	rank     [deepest]rank
	lock     [deepest]uintptr
}

var held struct {
	off  uint32
	rows [rows]row
}

// pins says where the Go runtime keeps what a goroutine's pin is: see ExpectPins. locks is 0 until that is called.
var pins struct{ m, locks uintptr }

// ExpectPins has every lock from here on checked for its taker being a goroutine pinned to its P. One that is not may
// be stopped with the lock held, and those who wait for it are pinned: the collector, which stopped the one, waits for
// them for ever. m is the offset of the thread in the runtime's g, locks that of the count of pins in the
// thread.
func ExpectPins(m, locks uintptr) { pins.m, pins.locks = m, locks }

// isPinned reports whether the caller, a goroutine, is pinned, as far as anybody expects that. Where it is not it may be
// moved to another thread on the way, and that one's pin be found: some are missed then, none is wrongly accused.
func isPinned(g uintptr) bool {
	return pins.locks == 0 || Load32(uintptr(Load64(g+pins.m))+pins.locks) != 0
}

// currentG is the address of the Go runtime's g, or of what stands in for it in the C door.
func currentG() uintptr

// key tells the caller from all others. The C door's stand-in for g, which all threads share, is zero where
// a g has its stack's limit: there it is the thread's id.
func key() uintptr {
	const stackGuard = 16 // its offset in g
	if g := currentG(); Load64(g+stackGuard) != 0 {
		return g
	}
	tid, _ := call3(syscall.SYS_GETTID, 0, 0, 0)
	return tid | tidKey
}

// at is the i-th row in which key k may be. Threads are numbered one by one, g's lie some 448 bytes apart.
func at(k, i uintptr) *row { return &held.rows[((k>>6^k)+i)%rows] }

// find returns the caller's row, or nil if it holds nothing.
func find(k uintptr) *row {
	for i := uintptr(0); i < window; i++ {
		if h := at(k, i); atomic.LoadUintptr(&h.owner) == k {
			return h
		}
	}
	return nil
}

// claim returns a free row, now of key k.
func claim(k uintptr) *row {
	for i := uintptr(0); i < window; i++ {
		if h := at(k, i); atomic.CompareAndSwapUintptr(&h.owner, 0, k) {
			return h
		}
	}
	complain(nil, "there is no room for one more thread that holds a lock", "", 0)
	return nil
}

// taking checks that the caller may take m, and notes that it has it.
func taking(m *mutex, r rank) { note(m, r, true) }

// took notes that the caller has m.
func took(m *mutex, r rank) { note(m, r, false) }

func note(m *mutex, r rank, waits bool) {
	if atomic.LoadUint32(&held.off) != 0 {
		return
	}
	lock, k := uintptr(unsafe.Pointer(m)), key()
	h := find(k)
	if k&tidKey == 0 && !isPinned(k) {
		complain(h, "a goroutine that is not pinned takes a lock: ", r.name(), lock)
	}
	if h == nil {
		h = claim(k)
	}
	if h.handlers != 0 {
		complain(h, "a signal handler takes a lock in a thread that holds some: ", r.name(), lock)
	}
	for i := uint32(0); waits && i < h.n; i++ {
		if h.lock[i] == lock {
			complain(h, "a lock is taken again by its holder: ", r.name(), lock)
		}
		if h.rank[i]&r.below() == 0 {
			complain(h, "a lock is taken out of order: ", r.name(), lock)
		}
	}
	if h.n == deepest {
		complain(h, "a thread holds too many locks to take another: ", r.name(), lock)
	}
	h.rank[h.n], h.lock[h.n] = r, lock
	h.n++
}

// giving checks that the caller has m, and notes that it gives it up.
func giving(m *mutex) {
	if atomic.LoadUint32(&held.off) != 0 {
		return
	}
	lock, h := uintptr(unsafe.Pointer(m)), find(key())
	if h == nil {
		complain(nil, "a lock is given up by a thread that does not hold it:", "", lock)
		return
	}
	i := uint32(0)
	for i < h.n && h.lock[i] != lock {
		i++
	}
	if i == h.n {
		complain(h, "a lock is given up by a thread that does not hold it:", "", lock)
	}
	for h.n--; i < h.n; i++ {
		h.rank[i], h.lock[i] = h.rank[i+1], h.lock[i+1]
	}
	if h.n == 0 {
		atomic.StoreUintptr(&h.owner, 0)
	}
}

// calling checks that the caller may make the named system call with what it holds.
func calling(name string) {
	if atomic.LoadUint32(&held.off) != 0 {
		return
	}
	if h := find(key()); h != nil && h.handlers == 0 {
		for i := uint32(0); i < h.n; i++ {
			if h.rank[i]&noCalls != 0 {
				complain(h, "a lock forbids the system call ", name, 0)
			}
		}
	}
}

// BeginHandler and EndHandler enclose what a signal handler does that may have interrupted its thread in the core: it
// takes no lock, but need not mind those that the thread holds when it maps memory.
func BeginHandler() { handler(1) }
func EndHandler()   { handler(^uint32(0)) }

func handler(d uint32) {
	if atomic.LoadUint32(&held.off) != 0 {
		return
	}
	if h := find(key()); h != nil {
		h.handlers += d
	}
}

// HoldsNone checks that the caller holds no lock of the core.
func HoldsNone() {
	if atomic.LoadUint32(&held.off) != 0 {
		return
	}
	if h := find(key()); h != nil {
		complain(h, "a thread leaves the heap with a lock held", "", 0)
	}
}

// ForgetLocks tells that a fork's child holds no locks. inside says that it may all the same: the fork came from a
// signal handler that had interrupted its thread in the core, whose id is another in the child. Then nothing is
// checked from here on.
func ForgetLocks(inside bool) {
	for i := range held.rows {
		held.rows[i].n = 0
		held.rows[i].owner = 0
	}
	if inside {
		held.off = 1
	}
}

// complain writes what is wrong, with which lock or call, and what the caller holds, in one line, and ends the process.
func complain(h *row, what, name string, lock uintptr) {
	var l Line
	l.Str("vcmalloc: lock order: ").Str(what).Str(name)
	if lock != 0 {
		l.Str(" ").Hex(lock)
	}
	for i := uint32(0); h != nil && i < h.n; i++ {
		l.Str("; held: ").Str(h.rank[i].name()).Str(" ").Hex(h.lock[i])
	}
	l.Flush()
	Abort()
}

func (r rank) name() string {
	switch r {
	case rankVCPU:
		return "VCPULock"
	case rankDomain:
		return "DomainLock"
	case rankCache:
		return "CacheLock"
	case rankPool:
		return "PoolLock"
	case rankList:
		return "ListLock"
	case rankSpan:
		return "SpanLock"
	case rankGrow:
		return "GrowLock"
	}
	return "PageLock"
}
