package topology

import (
	"unsafe"

	"github.com/vcmalloc/vcmalloc/internal/sys"
)

// scratch is the workspace of Read and Override, part of the struct because the core's stack is small. Its
// buffers are filled by index and their addresses only made for a system call: seen from Go the struct may
// lie on a stack that moves between calls.
type scratch struct {
	root   uintptr // where the tree is, 0 for the system's
	opened uint32  // files, by the last Read
	hint   uint32  // cache index at which the last CPU had its last level
	length uint32  // of path; above pathMax if it didn't fit
	list   Set     // of the file last read
	shared Set     // the CPUs of one cache; while nodes are read, the nodes
	path   [pathMax + 1]byte
	buf    [bufSize]byte
}

const (
	pathMax   = 511
	bufSize   = 512
	maxChunks = 128 // 64 KiB: more than a list of 8192 single CPUs takes
)

// at begins a path: name below the root.
func (s *scratch) at(name string) *scratch {
	s.length = 0
	if s.root == 0 || sys.Byte(s.root) == 0 {
		return s.str("/sys/devices/system").str(name)
	}
	for p := s.root; sys.Byte(p) != 0 && s.length <= pathMax; p++ {
		s.put(sys.Byte(p))
	}
	return s.str(name)
}

// cache begins the path of cache i of cpu.
func (s *scratch) cache(cpu, i uint32) *scratch {
	return s.at("/cpu/cpu").dec(cpu).str("/cache/index").dec(i)
}

// str goes on with part.
func (s *scratch) str(part string) *scratch {
	for i := 0; i < len(part); i++ {
		s.put(part[i])
	}
	return s
}

// dec goes on with v, which is below 10000.
func (s *scratch) dec(v uint32) *scratch {
	leading := true
	for unit := uint32(1000); unit > 0; unit /= 10 {
		if d := v / unit % 10; d != 0 || !leading || unit == 1 {
			s.put(byte('0' + d))
			leading = false
		}
	}
	return s
}

func (s *scratch) put(c byte) {
	if s.length < pathMax {
		s.path[s.length] = c
		s.length++
		return
	}
	s.length = pathMax + 1
}

// open opens the file at the path.
func (s *scratch) open() (uintptr, bool) {
	if s.length > pathMax {
		return 0, false
	}
	s.path[s.length] = 0
	s.opened++
	fd, e := sys.OpenRead(uintptr(unsafe.Pointer(&s.path)))
	return fd, e == 0
}

// chunk reads the next bytes of fd into buf; 0 at the end or on an error.
func (s *scratch) chunk(fd uintptr) uintptr {
	n, e := sys.Read(fd, uintptr(unsafe.Pointer(&s.buf)), bufSize)
	if e != 0 {
		return 0
	}
	return min(n, bufSize)
}

// first reads the first bytes of the file into buf and returns how many they are; 0 if there is no such file.
func (s *scratch) first() uintptr {
	fd, ok := s.open()
	if !ok {
		return 0
	}
	n := s.chunk(fd)
	sys.Close(fd)
	return n
}

// byte is the file's first byte, 0 if there is none.
func (s *scratch) byte() byte {
	if s.first() == 0 {
		return 0
	}
	return s.buf[0]
}

// number reads a file that holds one number of at most six digits.
func (s *scratch) number() (uint32, bool) {
	n, v, i := s.first(), uint32(0), uintptr(0)
	for ; i < n && i < 6 && s.buf[i] >= '0' && s.buf[i] <= '9'; i++ {
		v = v*10 + uint32(s.buf[i]-'0')
	}
	return v, i > 0 && (i == n || s.buf[i] == '\n')
}

// set reads a file that holds a CPU list or nothing. If it is not there or holds something else, set is
// empty and the result is false.
func (s *scratch) set(set *Set) bool {
	set.Clear()
	fd, ok := s.open()
	if !ok {
		return false
	}
	ok = s.parse(fd, set)
	sys.Close(fd)
	if !ok {
		set.Clear()
	}
	return ok
}

func (s *scratch) parse(fd uintptr, set *Set) bool {
	var l list
	empty := true
	for range maxChunks {
		n := s.chunk(fd)
		for i := uintptr(0); i < n; i++ {
			c := s.buf[i]
			if c == '\n' {
				n = 0
				break
			}
			if !l.feed(c, set) {
				return false
			}
			empty = false
		}
		if n == 0 {
			return empty || l.close(set)
		}
	}
	return false
}
