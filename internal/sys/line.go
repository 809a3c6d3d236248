package sys

import "unsafe"

// Line assembles one line of text without allocating; what does not fit is dropped. The zero value is an
// empty line. It lives on the stack of whoever builds it.
type Line struct {
	n   int
	buf [400]byte
}

// Str appends s.
func (l *Line) Str(s string) *Line {
	for i := 0; i < len(s); i++ {
		l.put(s[i])
	}
	return l
}

// Bytes appends b.
func (l *Line) Bytes(b []byte) *Line {
	for _, c := range b {
		l.put(c)
	}
	return l
}

// CStr appends at most max bytes of the NUL-terminated text at p; control bytes become '?'.
func (l *Line) CStr(p uintptr, max int) *Line {
	for i := 0; i < max; i++ {
		c := Byte(p + uintptr(i))
		if c == 0 {
			break
		}
		if c < ' ' || c == 127 {
			c = '?'
		}
		l.put(c)
	}
	return l
}

// Hex appends v as 0x….
func (l *Line) Hex(v uintptr) *Line {
	l.Str("0x")
	shift := 60
	for shift > 0 && v>>shift == 0 {
		shift -= 4
	}
	for ; shift >= 0; shift -= 4 {
		l.put("0123456789abcdef"[v>>shift&15])
	}
	return l
}

// Dec appends v in decimal.
func (l *Line) Dec(v uintptr) *Line {
	var digits [20]byte
	i := len(digits)
	for {
		i--
		digits[i] = byte('0' + v%10)
		v /= 10
		if v == 0 {
			break
		}
	}
	for ; i < len(digits); i++ {
		l.put(digits[i])
	}
	return l
}

func (l *Line) put(c byte) {
	if l.n < len(l.buf)-1 {
		l.buf[l.n] = c
		l.n++
	}
}

// Flush writes the line and a newline to standard error in one call, and empties it.
func (l *Line) Flush() {
	l.buf[l.n] = '\n'
	Write(2, uintptr(unsafe.Pointer(&l.buf)), uintptr(l.n)+1)
	l.n = 0
}

// internalError is a bug of ours, caught by a bounds check in a process without the Go runtime.
func internalError(pc uintptr) {
	var l Line
	l.Str("vcmalloc: internal error: failed check at code address ").Hex(pc).
		Str("; please report it with this line and the library's version").Flush()
	Abort()
}
