package alloc

import (
	"sync/atomic"
	"unsafe"
)

// Account counts the memory of one purpose: "index", "page cache". Its methods are those of the package, and what
// is allocated through it has to be freed through it. Safe for concurrent use; a call costs some 5 ns more than
// the package's. Leaks name the account.
type Account struct {
	name    string
	stripes [accountStripes]accountStripe
}

const accountStripes = 8

// accountStripe is a share of an account's counters, on a cache line of its own.
type accountStripe struct {
	requested, usable, objects atomic.Int64
	_                          [40]byte
}

// NewAccount makes an account.
func NewAccount(name string) *Account { return &Account{name: name} }

// Name is the account's name.
func (a *Account) Name() string { return a.name }

func (a *Account) add(requested, usable, objects int64) {
	v := procPin() // only to spread the load: the counters are atomic
	procUnpin()
	s := &a.stripes[v%accountStripes]
	s.requested.Add(requested)
	s.usable.Add(usable)
	s.objects.Add(objects)
}

// Malloc is the package's Malloc, counted.
func (a *Account) Malloc(size uintptr) (p unsafe.Pointer, err error) {
	if hooks.Load() != 0 {
		p, err = hooked(size, 1, a.name)
	} else {
		p, err = Malloc(size)
	}
	if err == nil {
		a.add(int64(size), int64(RoundSize(size)), 1)
	}
	return p, err
}

// Free gives back an object of size bytes, as it was asked for, from Malloc. Nil is ignored.
func (a *Account) Free(p unsafe.Pointer, size uintptr) {
	if p != nil {
		a.add(-int64(size), -int64(RoundSize(size)), -1)
		FreeSized(p, size)
	}
}

// MallocSlice returns n bytes, counted, whose contents are undefined. Their capacity is n: what FreeSlice goes by.
func (a *Account) MallocSlice(n int) ([]byte, error) {
	if n < 0 {
		return nil, errSize(n)
	}
	p, err := a.Malloc(uintptr(n))
	if err != nil {
		return nil, err
	}
	return unsafe.Slice((*byte)(p), n), nil
}

// FreeSlice gives a slice from MallocSlice back. It has to be the whole slice, though its length does not matter.
func (a *Account) FreeSlice(b []byte) {
	if cap(b) > 0 || unsafe.SliceData(b) != nil {
		a.Free(base(b), uintptr(cap(b)))
	}
}

// AccountStats is what an account holds.
type AccountStats struct {
	Requested int64 // bytes asked for
	Usable    int64 // bytes of the objects they got: rounded up to size classes and pages
	Objects   int64
}

// Stats reads the counters. While others allocate they may disagree by what is under way.
func (a *Account) Stats() (s AccountStats) {
	for i := range a.stripes {
		s.Requested += a.stripes[i].requested.Load()
		s.Usable += a.stripes[i].usable.Load()
		s.Objects += a.stripes[i].objects.Load()
	}
	return s
}
