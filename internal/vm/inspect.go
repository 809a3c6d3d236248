package vm

import (
	"unsafe"

	"github.com/vcmalloc/vcmalloc/internal/sys"
	"github.com/vcmalloc/vcmalloc/internal/units"
)

// Pagemap is an open /proc/self/pagemap.
type Pagemap struct{ fd uintptr }

// OpenPagemap reports false where there is no /proc.
func OpenPagemap() (p Pagemap, ok bool) {
	path := "/proc/self/pagemap\x00"
	fd, e := sys.OpenRead(uintptr(unsafe.Pointer(unsafe.StringData(path))))
	return Pagemap{fd}, e == 0
}

// Close closes p.
func (p Pagemap) Close() { sys.Close(p.fd) }

// Backing is what lies behind a hugepage.
type Backing struct {
	Present units.Bytes // in memory, not swapped out
	Huge    bool        // as one hugepage; false also where the kernel can't tell (before Linux 6.7)
	Known   bool        // the kernel told
}

// Inspect looks at the hugepage at address a.
func (p Pagemap) Inspect(a uintptr) Backing {
	if b := p.scan(a); b.Known {
		return b
	}
	return p.read(a)
}

// PAGEMAP_SCAN of linux/fs.h.
const (
	pagemapScan = 0xc0606610
	pagePresent = 1 << 3
	pageHuge    = 1 << 6
)

type scanArg struct {
	size, flags, start, end, walkEnd, vec, vecLen, maxPages, inverted, mask, anyOf, result uint64
}

type scanRegion struct{ start, end, categories uint64 }

// scanRegions bounds the runs of present pages that are looked at: what is in more pieces is not dense.
const scanRegions = 32

func (p Pagemap) scan(a uintptr) (b Backing) {
	var regions [scanRegions]scanRegion
	arg := scanArg{
		start: uint64(a), end: uint64(a + units.HugePageSize), vec: uint64(uintptr(unsafe.Pointer(&regions))), vecLen: scanRegions,
		mask: pagePresent, result: pagePresent | pageHuge,
	}
	arg.size = uint64(unsafe.Sizeof(arg))
	n, e := sys.Ioctl(p.fd, pagemapScan, uintptr(unsafe.Pointer(&arg)))
	if e != 0 {
		return Backing{}
	}
	b.Known = true
	for i := uintptr(0); i < n && i < scanRegions; i++ {
		b.Present += units.Bytes(regions[i].end - regions[i].start)
		b.Huge = b.Huge || regions[i].categories&pageHuge != 0
	}
	return b
}

// read counts the present pages in the file itself: 8 bytes for each system page, bit 63 says present.
func (p Pagemap) read(a uintptr) (b Backing) {
	const systemPage = 4096
	var entries [64]uint64
	for off := uintptr(0); off < units.HugePageSize; off += systemPage * uintptr(len(entries)) {
		n, e := sys.ReadAt(p.fd, uintptr(unsafe.Pointer(&entries)), unsafe.Sizeof(entries), (a+off)/systemPage*8)
		if e != 0 || n != unsafe.Sizeof(entries) {
			return Backing{}
		}
		for i := range entries {
			b.Present += units.Bytes(entries[i]>>63) * systemPage
		}
	}
	b.Known = true
	return b
}

// Collapse makes the system put a hugepage behind the 2 MiB at address a, copying what is there. It takes half a
// millisecond to 6 ms (the latter in a virtual machine) and works from Linux 6.1 on.
func (s *Space) Collapse(hp units.HugePageID) sys.Errno {
	a := s.base + uintptr(hp)<<units.HugePageShift
	s.AskHuge(hp, 1)
	return sys.Madvise(a, units.HugePageSize, sys.MadvCollapse)
}

// HugePagesWanted reports whether the system's mode allows hugepages at all. It is known once something is mapped.
func (s *Space) HugePagesWanted() bool { return s.thpMode >= thpMadvise }
