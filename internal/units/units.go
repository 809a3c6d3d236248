// Package units names the quantities every tier speaks of, as distinct types, so that a page number can
// not be passed where a hugepage number is meant. It holds no state and imports nothing.
//
// All page numbers are relative to the base of one heap's address window: page 0 is the window's first
// page. That keeps them in 32 bits (a window of 1 TiB has 2^27 pages) and makes metadata tables dense.
package units

// Sizes of the two page kinds. The page is the paper's 8 KiB (section 5.2.1); the hugepage is the 2 MiB
// of x86-64 and of arm64 with 4 KiB system pages. Neither is the system's page size, which is found at
// run time.
const (
	PageShift     = 13
	PageSize      = 1 << PageShift // bytes
	HugePageShift = 21
	HugePageSize  = 1 << HugePageShift // bytes

	// PagesPerHuge is how many pages one hugepage holds.
	PagesPerHuge      = HugePageSize / PageSize
	PagesPerHugeShift = HugePageShift - PageShift

	// MaxSmall is the largest request, in bytes, that a size class serves (paper section 5.2.1).
	MaxSmall = 256 << 10
)

type (
	// PageID numbers the 8 KiB pages of a heap's window.
	PageID uint32
	// HugePageID numbers the 2 MiB hugepages of a heap's window.
	HugePageID uint32
	// Pages counts 8 KiB pages.
	Pages uint32
	// ClassID is a size class; 0 means "no size class".
	ClassID uint8
	// SpanID indexes a heap's span table; 0 means "no span".
	SpanID uint32
	// VCPU indexes per-CPU slabs: an rseq mm_cid, a CPU number or a P.
	VCPU int32
	// Bytes counts bytes.
	Bytes = uintptr
)

// NoPage and NoHuge are the page numbers that no window holds.
const (
	NoPage = ^PageID(0)
	NoHuge = ^HugePageID(0)
)

// Huge is the hugepage that holds page p.
func (p PageID) Huge() HugePageID { return HugePageID(p >> PagesPerHugeShift) }

// Page is the first page of hugepage h.
func (h HugePageID) Page() PageID { return PageID(h) << PagesPerHugeShift }

// PagesFor is how many pages hold n bytes, rounded up. Preconditions: n+PageSize does not overflow.
func PagesFor(n Bytes) Pages { return Pages((n + PageSize - 1) >> PageShift) }
