package sys

// The core's locks, one type for each place where one stands, because a lock's place in the order is part of what it
// is. A thread may take a lock only while every lock it holds is among those named here:
//
//	lock        guards                                    while holding               system calls
//	VCPULock    a vCPU's slab (percpu)                    none                        yes
//	DomainLock  a domain's or node's state (transfer)     VCPU                        yes
//	CacheLock   a transfer cache                          VCPU                        no
//	PoolLock    the making of a pool (centralfreelist)    VCPU, Domain                yes
//	ListLock    a central free list                       VCPU                        no
//	SpanLock    the span table                            VCPU                        yes, by GrowLock
//	GrowLock    the window's and the tables' growth       VCPU, Domain, Pool, Span    yes
//	PageLock    a page heap                               as GrowLock, and that       no
//
// No thread holds two locks of one type. A build with the tag vcmlocks checks all this whenever a lock is taken and
// whenever memory is mapped, unmapped, protected or advised, and ends the process with one line where it does
// not hold (order_on.go). In a program that uses package alloc it also checks that who takes a lock is pinned (ExpectPins).
// Other builds do nothing of the kind: the functions are empty and inlined.
type (
	VCPULock   struct{ mutex }
	DomainLock struct{ mutex }
	CacheLock  struct{ mutex }
	PoolLock   struct{ mutex }
	ListLock   struct{ mutex }
	SpanLock   struct{ mutex }
	GrowLock   struct{ mutex }
	PageLock   struct{ mutex }
)

// rank is a lock's place in the order, as a bit, so that a set of them is a word.
type rank uint32

const (
	rankVCPU rank = 1 << iota
	rankDomain
	rankCache
	rankPool
	rankList
	rankSpan
	rankGrow
	rankPage
)

// below is the set of locks that a thread may hold while it takes one of rank r.
func (r rank) below() rank {
	switch r {
	case rankDomain, rankCache, rankList, rankSpan:
		return rankVCPU
	case rankPool:
		return rankVCPU | rankDomain
	case rankGrow:
		return rankVCPU | rankDomain | rankPool | rankSpan
	case rankPage:
		return rankVCPU | rankDomain | rankPool | rankSpan | rankGrow
	}
	return 0
}

// noCalls are the locks under which no memory is mapped, unmapped, protected or advised: many threads may wait
// for one, and such a call takes as long as the kernel likes.
const noCalls = rankCache | rankList | rankPage

// Lock takes the lock.
func (l *VCPULock) Lock()   { l.lock(rankVCPU) }
func (l *DomainLock) Lock() { l.lock(rankDomain) }
func (l *CacheLock) Lock()  { l.lock(rankCache) }
func (l *PoolLock) Lock()   { l.lock(rankPool) }
func (l *ListLock) Lock()   { l.lock(rankList) }
func (l *SpanLock) Lock()   { l.lock(rankSpan) }
func (l *GrowLock) Lock()   { l.lock(rankGrow) }
func (l *PageLock) Lock()   { l.lock(rankPage) }

// TryLock takes the lock if it is free. It never waits, so what the caller holds does not matter.
func (l *VCPULock) TryLock() bool   { return l.tryLock(rankVCPU) }
func (l *DomainLock) TryLock() bool { return l.tryLock(rankDomain) }
