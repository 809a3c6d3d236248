package pressure

import (
	"unsafe"

	"github.com/vcmalloc/vcmalloc/internal/sys"
	"github.com/vcmalloc/vcmalloc/internal/units"
)

// Watch reads the files. The zero value is ready; it is for one thread at a time. 5 KiB, of which a process that
// never reads touches nothing.
type Watch struct {
	path   [768]byte
	root   uintptr // NUL-terminated prefix of all paths; 0: none
	length uint32  // of path
	size   uint32  // of what is in buf
	buf    [4096]byte
}

// Reading is what the kernel says now.
type Reading struct {
	Limit units.Bytes // of the group nearest to its limit; 0: none
	Used  units.Bytes // anonymous memory of that group
	Stall uint32      // percent of the last 10 s in which some task waited for memory
}

// unlimited is above any limit; version 1 says 2^63 less a page where there is none.
const unlimited = 1 << 60

// Read reads the files below root, the address of a NUL-terminated path; 0 means the system's own.
func (w *Watch) Read(root uintptr) (r Reading) {
	w.root = root
	v1, found := w.group()
	if found {
		r = w.tightest(v1)
	}
	// The own group's stalls, where the kernel counts them by group.
	if !found || v1 || !w.group2() || !w.file("/memory.pressure") {
		w.begin()
		if !w.file("/proc/pressure/memory") {
			return r
		}
	}
	if n, ok := w.number(w.find("some avg10=", 0)); ok {
		r.Stall = uint32(min(n, 100))
	}
	return r
}

// group puts the path of the group that limits this process's memory into path. v1 tells the version.
func (w *Watch) group() (v1, ok bool) {
	w.begin()
	if !w.file("/proc/self/cgroup") {
		return false, false
	}
	at := w.find(":memory:", 0)
	if v1 = at != 0; !v1 {
		if at = w.find("0::", 0); at == 0 {
			return false, false
		}
	}
	w.begin()
	w.add("/sys/fs/cgroup")
	if v1 {
		w.add("/memory")
	}
	root := w.length
	for ; at < w.size && w.buf[at] != '\n'; at++ {
		w.put(w.buf[at])
	}
	if w.length > root && w.path[w.length-1] == '/' { // the root group: "/"
		w.length--
	}
	// In a container the name may be of the world outside, and what is mounted the container's own group.
	if w.length != root && !w.file(statFile) {
		w.length = root
	}
	return v1, true
}

// group2 is group for callers who know that it is there.
func (w *Watch) group2() bool {
	_, ok := w.group()
	return ok
}

const statFile = "/memory.stat"

// tightest looks at the group at path and its ancestors, up to the mount, and returns the one with the smallest
// part of its limit left.
func (w *Watch) tightest(v1 bool) (r Reading) {
	least := uint64(unlimited)
	for {
		limit := uint64(unlimited)
		if v1 {
			limit = w.limit("/memory.limit_in_bytes")
		} else {
			limit = min(w.limit("/memory.max"), w.limit("/memory.high"))
		}
		if limit < unlimited {
			used := w.used(v1)
			if left := limit - min(limit, used); left < least {
				least = left
				r = Reading{Limit: units.Bytes(limit), Used: units.Bytes(used)}
			}
		}
		end := w.length
		for end > 0 && w.path[end-1] != '/' {
			end--
		}
		if end == 0 {
			return r
		}
		w.length = end - 1
		if !w.file(statFile) && !w.file("/cgroup.procs") {
			return r // past the mount
		}
	}
}

// limit is the number in a file of the group, or unlimited.
func (w *Watch) limit(name string) uint64 {
	if !w.file(name) {
		return unlimited
	}
	n, ok := w.number(0)
	if !ok { // "max"
		return unlimited
	}
	return n
}

// used is the group's anonymous memory.
func (w *Watch) used(v1 bool) uint64 {
	if !w.file(statFile) {
		return 0
	}
	at := w.find("anon ", 0)
	if v1 {
		at = w.find("total_rss ", 0)
	}
	if at == 0 {
		return 0
	}
	n, _ := w.number(at)
	return n
}

// begin makes path the prefix.
func (w *Watch) begin() {
	w.length = 0
	for p := w.root; p != 0 && sys.Byte(p) != 0; p++ {
		w.put(sys.Byte(p))
	}
}

func (w *Watch) add(s string) {
	for i := 0; i < len(s); i++ {
		w.put(s[i])
	}
}

func (w *Watch) put(c byte) {
	if w.length < uint32(len(w.path)) {
		w.path[w.length] = c
		w.length++
	}
}

// file reads the file name below path into buf; path is as before. False if there is none.
func (w *Watch) file(name string) bool {
	w.size = 0
	length := w.length
	w.add(name)
	w.put(0)
	fits := w.path[min(w.length, uint32(len(w.path)))-1] == 0
	w.length = length
	if !fits {
		return false
	}
	fd, e := sys.OpenRead(uintptr(unsafe.Pointer(&w.path)))
	if e != 0 {
		return false
	}
	n, e := sys.Read(fd, uintptr(unsafe.Pointer(&w.buf)), uintptr(len(w.buf)))
	sys.Close(fd)
	if e != 0 {
		return false
	}
	w.size = uint32(min(n, uintptr(len(w.buf))))
	return true
}

// find is the position in buf behind the first key from i on, 0 if there is none.
func (w *Watch) find(key string, i uint32) uint32 {
	for ; i+uint32(len(key)) <= w.size; i++ {
		k := 0
		for k < len(key) && w.buf[(i+uint32(k))%uint32(len(w.buf))] == key[k] {
			k++
		}
		if k == len(key) {
			return i + uint32(len(key))
		}
	}
	return 0
}

// number is the decimal number at position i of buf.
func (w *Watch) number(i uint32) (n uint64, ok bool) {
	for ; i < w.size && w.buf[i] >= '0' && w.buf[i] <= '9' && n < unlimited; i++ {
		n, ok = n*10+uint64(w.buf[i]-'0'), true
	}
	return n, ok
}
