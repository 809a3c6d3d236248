package topology

// list reads one CPU list such as 0-3,8-11,512-1023 byte by byte, so that its text may come in pieces. The
// zero value stands before an element.
type list struct {
	first, n uint32 // n is the number being read, at most MaxCPUs
	digits   bool   // n has one
	ranged   bool   // first holds the beginning of a range
}

// feed takes the next byte, and adds an element that ends with it to set. It reports false, and is as it
// was, if the byte can't come here.
func (l *list) feed(c byte, set *Set) bool {
	switch {
	case c >= '0' && c <= '9':
		l.n = min(l.n*10+uint32(c-'0'), MaxCPUs)
		l.digits = true
		return true
	case c == '-' && l.digits && !l.ranged:
		*l = list{first: l.n, ranged: true}
		return true
	case c == ',':
		return l.close(set)
	}
	return false
}

// low is the first CPU of the element being read.
func (l *list) low() uint32 {
	if l.ranged {
		return l.first
	}
	return l.n
}

// close ends an element and adds its CPUs, those below MaxCPUs, to set. It reports false, and is as it was,
// if the element isn't complete or runs backwards.
func (l *list) close(set *Set) bool {
	if !l.digits || l.low() > l.n {
		return false
	}
	set.addRange(l.low(), l.n)
	*l = list{}
	return true
}
