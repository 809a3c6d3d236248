package heap

import (
	"unsafe"

	"github.com/vcmalloc/vcmalloc/internal/config"
	"github.com/vcmalloc/vcmalloc/internal/sys"
	"github.com/vcmalloc/vcmalloc/internal/units"
)

// Call names the function that a program called, for the line it gets when the pointer was bad.
type Call uint8

// The calls that take a pointer.
const (
	CallFree Call = iota
	CallRealloc
	CallReallocarray
	CallDelete
	CallDeleteArray
	CallFreeSized
	CallFreeAlignedSized
	CallSdallocx
	CallCfree
)

func (c Call) put(l *sys.Line) {
	switch c {
	case CallRealloc:
		l.Str("realloc")
	case CallReallocarray:
		l.Str("reallocarray")
	case CallDelete:
		l.Str("operator delete")
	case CallDeleteArray:
		l.Str("operator delete[]")
	case CallFreeSized:
		l.Str("free_sized")
	case CallFreeAlignedSized:
		l.Str("free_aligned_sized")
	case CallSdallocx:
		l.Str("sdallocx")
	case CallCfree:
		l.Str("cfree")
	default:
		l.Str("free")
	}
}

// misuse prints what p is, in one line, and aborts unless told to go on.
func (h *Heap) misuse(o *object, p uintptr, call Call) {
	var l sys.Line
	begin(&l, p, call)
	switch o.kind {
	case freed:
		l.Str("double free: the object of ").Dec(o.size).Str(" bytes there is free already; find the first free of it")
	case interior:
		l.Str("interior pointer: ").Dec(p - o.start).Str(" bytes into the object of ").Dec(o.size).Str(" bytes at ").
			Hex(o.start).Str("; pass the address that the allocation returned")
	case unused:
		l.Str("double free or invalid pointer: nothing is allocated there; it was freed before, or never came from malloc")
	default:
		l.Str("foreign pointer: not from this allocator")
		putMapping(&l, p)
		l.Str("; free it with the library it came from, or not at all")
	}
	h.finish(&l)
}

// ReportDoubleFree is for a door that keeps freed large objects at hand and was given one of them again.
func (h *Heap) ReportDoubleFree(p uintptr, call Call) { h.misuse(&object{kind: unused}, p, call) }

// mismatch prints that a sized deallocation named the wrong size.
func (h *Heap) mismatch(o *object, p uintptr, size units.Bytes, call Call) {
	var l sys.Line
	begin(&l, p, call)
	l.Str("size mismatch: the caller says ").Dec(size).Str(" bytes, the object has ").Dec(o.size).
		Str("; the type or length at this call differs from the one at the allocation")
	h.finish(&l)
}

// lateMisuse prints that an object came back to its span which was not out: its caller is long gone.
func (h *Heap) lateMisuse(p uintptr) {
	var l sys.Line
	begin(&l, p, CallFree)
	l.Str("double free or invalid pointer: found when a cache was emptied, so this stack is not the culprit's; VCMALLOC_CHECK=1 finds it at once")
	h.finish(&l)
}

// freeSide frees an object of the side region.
func (h *Heap) freeSide(p uintptr, call Call) {
	if !h.side.free(p) {
		h.misuse(&object{kind: unused}, p, call)
	}
}

func begin(l *sys.Line, p uintptr, call Call) {
	l.Str("vcmalloc: ")
	call.put(l)
	l.Str("(").Hex(p).Str("): ")
}

func (h *Heap) finish(l *sys.Line) {
	l.Flush()
	if h.checking != config.CheckReport {
		sys.Abort()
	}
}

// putMapping appends the name of the mapping p lies in, read from /proc/self/maps line by line.
func putMapping(l *sys.Line, p uintptr) {
	path := "/proc/self/maps\x00"
	fd, e := sys.OpenRead(uintptr(unsafe.Pointer(unsafe.StringData(path))))
	if e != 0 {
		return
	}
	var m mapsLine
	var buf [512]byte
	for found := false; !found; {
		n, e := sys.Read(fd, uintptr(unsafe.Pointer(&buf)), uintptr(len(buf)))
		if e != 0 || n == 0 {
			break
		}
		for i := uintptr(0); i < n && i < uintptr(len(buf)) && !found; i++ {
			found = m.feed(buf[i], p)
		}
	}
	sys.Close(fd)
	if m.n > 0 {
		l.Str(" (it lies in ").Bytes(m.name[:m.n]).Str(")")
	} else if m.hit {
		l.Str(" (it lies in an anonymous mapping)")
	} else {
		l.Str(" (nothing is mapped there)")
	}
}

// mapsLine reads lines of the form "start-end perms offset dev inode   name".
type mapsLine struct {
	start, end uintptr
	field      uint8 // 0 start, 1 end, then the rest by spaces
	space      bool
	hit        bool
	n          int
	name       [96]byte
}

// feed takes one byte; it reports true at the end of the line that covers p.
func (m *mapsLine) feed(c byte, p uintptr) bool {
	if c == '\n' {
		m.hit = p >= m.start && p < m.end
		if m.hit {
			return true
		}
		*m = mapsLine{}
		return false
	}
	switch {
	case m.field == 0 && c == '-':
		m.field = 1
	case m.field == 0:
		m.start = m.start<<4 | hexDigit(c)
	case c == ' ' && m.field < 6:
		if !m.space {
			m.field++
		}
		m.space = true
		return false
	case m.field == 1:
		m.end = m.end<<4 | hexDigit(c)
	case m.field >= 6 && m.n < len(m.name) && (c != ' ' || m.n > 0): // the name is set off by many spaces
		m.name[m.n] = c
		m.n++
	}
	m.space = false
	return false
}

func hexDigit(c byte) uintptr {
	if c >= 'a' {
		return uintptr(c-'a') + 10
	}
	return uintptr(c - '0')
}
