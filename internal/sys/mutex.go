package sys

import "sync/atomic"

// mutex is a futex spin lock, of which rank.go makes the core's locks: it spins briefly, then sleeps in the kernel. The
// zero value is unlocked. It works on threads that Go never saw, holds no pointer, and is not recursive. Fairness is
// the kernel's.
//
// Contended counts acquisitions that did not succeed at once; it is written by lock holders only, so a
// plain read by a statistics reader is at most one update behind.
type mutex struct {
	state     uint32 // 0 free, 1 held, 2 held and somebody may sleep
	contended uint32
}

// spins bounds the busy wait, in rounds of 16 PAUSE instructions. A critical section moves a batch of at
// most 64 pointers, about 100 ns; 64 rounds are about 2 us, less than a futex sleep and wake cost.
const spins = 64

// lock takes m, whose place in the order is r.
func (m *mutex) lock(r rank) {
	taking(m, r)
	if !atomic.CompareAndSwapUint32(&m.state, 0, 1) {
		m.lockSlow()
	}
}

// tryLock takes m if it is free.
func (m *mutex) tryLock(r rank) bool {
	if !atomic.CompareAndSwapUint32(&m.state, 0, 1) {
		return false
	}
	took(m, r)
	return true
}

func (m *mutex) lockSlow() {
	for i := 0; i < spins; i++ {
		pause(16)
		if atomic.LoadUint32(&m.state) == 0 && atomic.CompareAndSwapUint32(&m.state, 0, 1) {
			m.contended++
			return
		}
	}
	for atomic.SwapUint32(&m.state, 2) != 0 {
		FutexWait(&m.state, 2)
	}
	m.contended++
}

// Unlock releases the lock. Preconditions: the caller holds it.
func (m *mutex) Unlock() {
	giving(m)
	if atomic.SwapUint32(&m.state, 0) == 2 {
		FutexWake(&m.state, 1)
	}
}

// Contended is how many acquisitions had to wait since the heap began.
func (m *mutex) Contended() uint32 { return atomic.LoadUint32(&m.contended) }

// Pause tells the processor that the caller spins, for about n x 40 cycles.
func Pause(n uint32) { pause(n) }
