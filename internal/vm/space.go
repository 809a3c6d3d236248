package vm

import (
	"sync/atomic"
	"unsafe"

	"github.com/vcmalloc/vcmalloc/internal/sys"
	"github.com/vcmalloc/vcmalloc/internal/units"
)

// Sizes of address choices, in bytes. They cost nothing until mapped.
const (
	// windowSize is DESIGN.md's 1 TiB; page numbers then have 27 bits.
	windowSize = 1 << 40
	// windowSizeSmall serves 39-bit address spaces, of which it takes an eighth.
	windowSizeSmall = 1 << 36
	// metaFraction: the tables get the address range of half a window in front of it.
	metaFraction = 2

	growMin = 4 << units.HugePageShift   // 8 MiB: a step costs a system call, 3-7 us in a VM
	growMax = 512 << units.HugePageShift // 1 GiB

	// Unhuged is how much of the window's start is mapped in small pages, 32 MiB; AskHuge makes exceptions. A
	// small process pays for what it touches: redis with 500 clients, which touches a quarter of each 16 KiB
	// buffer, is resident with 44 MiB when all but 4 MiB are hugepages, and with 33 MiB like this. Beyond it
	// hugepages make the first touch 5 times cheaper, and what they waste is a small part of the heap.
	Unhuged = 16 << units.HugePageShift
)

// Space is one heap's address range. The zero value is not usable; call Init.
type Space struct {
	base    uintptr // of the window
	size    uintptr // of the window
	grown   uintptr // bytes of the window in use as address space, gaps included; atomic
	spare   uintptr // bytes mapped beyond grown, waiting to be handed out
	mapped  uintptr // bytes mapped in the window
	meta    uintptr // bytes mapped for tables; atomic
	slice   uintptr // next free address for a table
	thpMode uint8   // of the system, read when first needed
	unnamed bool    // the kernel does not name mappings
}

// Init chooses addresses. seed makes the choice differ between processes (address space randomisation);
// any value does. It reports whether a place was found. Spaces of one process do not overlap, even if they
// are initialised at the same time.
func (s *Space) Init(seed uint64) bool {
	for try := 0; try < triesLarge+triesSmall; try++ {
		seed = seed*6364136223846793005 + 1442695040888963407
		r := uintptr(seed >> 33)
		// The kernel places mappings top-down from the stack at the end of the address space; programs are
		// at its start or close to the end. The middle is left for those who ask for an address.
		size, base := uintptr(windowSize), uintptr(0x1000_0000_0000)+(r%0x3000)<<32
		if try >= triesLarge {
			size, base = windowSizeSmall, 0x10_0000_0000+(r%0x20)<<32
		}
		if claim(base-size/metaFraction, base+size) {
			start := base - size/metaFraction
			*s = Space{base: base, size: size, slice: start + probeSize, meta: probeSize}
			return true
		}
	}
	return false
}

// Choices of a window: each that fails costs a system call. A process with many heaps, as tests have, needs
// some luck to find a free one.
const (
	triesLarge = 32
	triesSmall = 16
)

// claim marks [start, end) as taken, by a mapping at its start that Boot hands out and one without access
// behind its end. Of two ranges of one length that overlap, one holds a mark of the other, so looking for
// mappings in between finds it: both are marked before either looks.
func claim(start, end uintptr) bool {
	if !mapProbe(start, sys.ProtRead|sys.ProtWrite) {
		return false
	}
	if mapProbe(end, sys.ProtNone) {
		if !occupied(start+probeSize, end-start-probeSize) {
			return true
		}
		sys.Munmap(end, probeSize)
	}
	sys.Munmap(start, probeSize)
	return false
}

func mapProbe(a, prot uintptr) bool {
	got, e := sys.Mmap(a, probeSize, prot, sys.MapPrivate|sys.MapNoReserve|sys.MapFixedNoReplace)
	if e == 0 && got != a {
		sys.Munmap(got, probeSize) // before Linux 4.17 the address is a hint
	}
	return e == 0 && got == a
}

// occupied reports whether something lies in the n bytes at start: another space's mark, or in a Go program
// its heap (from Go 1.26 on its address is random); tables and Free must not run into it. The kernel looks
// for neighbours before limits, so any error but EEXIST leaves the answer to whoever maps there.
func occupied(start, n uintptr) bool {
	a, e := sys.Mmap(start, n, sys.ProtNone, sys.MapPrivate|sys.MapNoReserve|sys.MapFixedNoReplace)
	if e == 0 {
		sys.Munmap(a, n)
		return a != start // before Linux 4.17 the address is a hint
	}
	return e == sys.EEXIST
}

// probeSize is the mapping that tries an address; Boot hands it out, so it is not wasted.
const probeSize = 64 << 10

// Boot is memory of probeSize bytes, zeroed and mapped by Init, for a heap's smallest tables: one system call
// for all of them.
func (s *Space) Boot() (uintptr, uintptr) { return s.base - s.size/metaFraction, probeSize }

// Base is the address of page 0.
func (s *Space) Base() uintptr { return s.base }

// Grown is the length in bytes of the part of the window that has been handed out, gaps included. It only
// grows, and like Contains needs no lock.
func (s *Space) Grown() uintptr { return atomic.LoadUintptr(&s.grown) }

// MaxPages is how many pages the window can ever hold.
func (s *Space) MaxPages() units.Pages { return units.Pages(s.size >> units.PageShift) }

// MappedBytes is what is mapped for pages that have been handed out by Grow.
func (s *Space) MappedBytes() uintptr { return s.mapped - s.spare }

// MetaBytes is what is mapped for tables, and SpareBytes what is mapped ahead of demand.
func (s *Space) MetaBytes() uintptr  { return atomic.LoadUintptr(&s.meta) }
func (s *Space) SpareBytes() uintptr { return s.spare }

// Contains reports whether p lies in the part of the window that has been handed out.
func (s *Space) Contains(p uintptr) bool { return p-s.base < s.Grown() }

// Addr is the address of page p, and Page the page that holds address a.
func (s *Space) Addr(p units.PageID) uintptr { return s.base + uintptr(p)<<units.PageShift }
func (s *Space) Page(a uintptr) units.PageID { return units.PageID((a - s.base) >> units.PageShift) }

// Grow hands out n new hugepages in a row, zeroed and untouched, and returns the first; ok is false when
// the system refuses or the window is full. The pages handed out before need not be adjacent.
func (s *Space) Grow(n uintptr) (first units.HugePageID, ok bool) {
	need := n << units.HugePageShift
	if n > s.size>>units.HugePageShift {
		return units.NoHuge, false
	}
	if s.spare < need && !s.extend(need) {
		return units.NoHuge, false
	}
	start := s.grown
	atomic.StoreUintptr(&s.grown, start+need)
	s.spare -= need
	return units.HugePageID(start >> units.HugePageShift), true
}

// extend maps at least need-spare more bytes behind what is mapped, or need bytes behind a gap.
func (s *Space) extend(need uintptr) bool {
	end := s.grown + s.spare
	step := min(max(growMin, s.grown/4), growMax) &^ (units.HugePageSize - 1)
	if step > need-s.spare && s.mapAt(end, step) {
		s.spare += step
		return true
	}
	if s.mapAt(end, need-s.spare) {
		s.spare = need
		return true
	}
	// Something else lies there, or memory is short. In the second case the next tries fail as well.
	const skip = 1 << 30
	for off, i := (end+skip)&^(skip-1), 0; i < 64 && off < s.size; off, i = off+skip, i+1 {
		if s.mapAt(off, need) {
			s.mapped -= s.spare // the old spare is stranded before the gap: no longer counted
			sys.Munmap(s.base+s.grown, s.spare)
			atomic.StoreUintptr(&s.grown, off)
			s.spare = need
			return true
		}
	}
	return false
}

func (s *Space) mapAt(off, n uintptr) bool {
	if off+n > s.size || off+n < off {
		return false
	}
	a := s.base + off
	got, e := sys.Mmap(a, n, sys.ProtRead|sys.ProtWrite, sys.MapPrivate|sys.MapNoReserve|sys.MapFixedNoReplace)
	if e != 0 {
		return false
	}
	if got != a {
		sys.Munmap(got, n)
		return false
	}
	s.mapped += n
	s.name(a, n, "vcmalloc heap\x00")
	s.adviseHuge(off, n)
	return true
}

// name labels a mapping for people who read /proc/self/maps. Many kernels are built without names: the first
// refusal is the last try.
func (s *Space) name(a, n uintptr, name string) {
	if !s.unnamed {
		s.unnamed = sys.NameMapping(a, n, name) != 0
	}
}

// adviseHuge asks for hugepages for the n bytes at off, except in the window's start.
func (s *Space) adviseHuge(off, n uintptr) {
	if s.thpMode == thpUnread {
		s.thpMode = readTHPMode()
	}
	if off < Unhuged {
		small := min(n, Unhuged-off)
		if s.thpMode == thpAlways {
			sys.Madvise(s.base+off, small, sys.MadvNoHugePage)
		}
		n -= small
		off = Unhuged
	}
	if n > 0 && s.thpMode == thpMadvise {
		sys.Madvise(s.base+off, n, sys.MadvHugePage)
	}
}

// AskHuge asks for hugepages behind n hugepages from hp on, which have been handed out and not been touched yet.
// Those that have been stay in small pages until the kernel or Collapse makes them one. It needs no lock.
func (s *Space) AskHuge(hp units.HugePageID, n uintptr) {
	if s.thpMode >= thpMadvise {
		sys.Madvise(s.base+uintptr(hp)<<units.HugePageShift, n<<units.HugePageShift, sys.MadvHugePage)
	}
}

// AskSmall asks for small pages there, from the next touch of an empty hugepage on, and forbids the kernel to make
// hugepages of them. It needs no lock.
func (s *Space) AskSmall(hp units.HugePageID, n uintptr) {
	if s.thpMode >= thpMadvise {
		sys.Madvise(s.base+uintptr(hp)<<units.HugePageShift, n<<units.HugePageShift, sys.MadvNoHugePage)
	}
}

const (
	thpUnread = iota
	thpNever
	thpMadvise
	thpAlways
)

// readTHPMode finds the bracketed word of "always [madvise] never".
func readTHPMode() uint8 {
	path := "/sys/kernel/mm/transparent_hugepage/enabled\x00"
	fd, e := sys.OpenRead(uintptr(unsafe.Pointer(unsafe.StringData(path))))
	if e != 0 {
		return thpNever
	}
	var buf [64]byte
	n, _ := sys.Read(fd, uintptr(unsafe.Pointer(&buf)), uintptr(len(buf)-1))
	sys.Close(fd)
	for i := uintptr(0); i+1 < n && i+1 < uintptr(len(buf)); i++ {
		if buf[i] == '[' {
			switch buf[i+1] {
			case 'a':
				return thpAlways
			case 'm':
				return thpMadvise
			}
		}
	}
	return thpNever
}

// Release gives the memory behind n bytes at page-aligned address a back to the system; it reads as zero
// from then on. It reports whether the system took it (a locked range is refused).
func Release(a, n uintptr) bool {
	for i := 0; i < 3; i++ {
		if e := sys.Madvise(a, n, sys.MadvDontNeed); e != sys.EAGAIN {
			return e == 0
		}
	}
	return false
}

// Free unmaps everything the space ever mapped, and whatever else lies in its gaps; s is then as before Init.
// Only tests that built their own heap call it.
func (s *Space) Free() {
	start := s.base - s.size/metaFraction
	sys.Munmap(s.base, s.grown+s.spare)
	sys.Munmap(start, s.base-start)
	sys.Munmap(s.base+s.size, probeSize)
	*s = Space{}
}
