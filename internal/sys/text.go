package sys

// Text writes text into memory the caller provides, without allocating; what does not fit is dropped.
type Text struct {
	p, n, max uintptr
}

// NewText writes to the max bytes at p.
func NewText(p, max uintptr) Text { return Text{p: p, max: max} }

// Len is how many bytes were written.
func (t *Text) Len() uintptr { return t.n }

// Str appends s.
func (t *Text) Str(s string) *Text {
	for i := 0; i < len(s); i++ {
		t.put(s[i])
	}
	return t
}

// CStr appends at most max bytes of the NUL-terminated text at p.
func (t *Text) CStr(p uintptr, max int) *Text {
	for i := 0; i < max; i++ {
		c := Byte(p + uintptr(i))
		if c == 0 {
			break
		}
		t.put(c)
	}
	return t
}

// Dec appends v in decimal, right-aligned in width columns.
func (t *Text) Dec(v uint64, width int) *Text {
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
	for w := len(digits) - i; w < width; w++ {
		t.put(' ')
	}
	for ; i < len(digits); i++ {
		t.put(digits[i])
	}
	return t
}

// MiB appends a byte count in MiB with one decimal, right-aligned in width columns.
func (t *Text) MiB(bytes uint64, width int) *Text {
	tenths := (bytes*10 + 1<<19) >> 20
	t.Dec(tenths/10, width-2).put('.')
	t.put(byte('0' + tenths%10))
	return t
}

func (t *Text) put(c byte) {
	if t.n < t.max {
		*(*byte)(At(t.p + t.n)) = c
		t.n++
	}
}
