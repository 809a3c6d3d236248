package alloc

import (
	"cmp"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"time"
	"unsafe"
)

// Stack is the program counters of a call stack, innermost first.
type Stack []uintptr

// String has a line for each frame: function, file, line number.
func (s Stack) String() string {
	var b strings.Builder
	frames := runtime.CallersFrames(s)
	for more := len(s) > 0; more; {
		var f runtime.Frame
		f, more = frames.Next()
		if f.Function != "" && f.Function != "runtime.goexit" {
			fmt.Fprintf(&b, "    %s\n        %s:%d\n", f.Function, f.File, f.Line)
		}
	}
	return b.String()
}

// Leak is what one place allocated, for one purpose, that has not been freed.
type Leak struct {
	Stack   Stack
	Tag     string    // the account's name, if any
	Objects float64   // exact in debug mode, an estimate when sampled
	Bytes   float64   // as asked for
	Oldest  time.Time // when the oldest of them was allocated
}

// Leaks lists what is allocated and not freed, most bytes first: everything in debug mode, else what sampling
// knows of. Only objects of at least age count.
func Leaks(age time.Duration) []Leak {
	before := time.Now().Add(-age)
	by := map[string]*Leak{}
	add := func(stack []uintptr, tag string, objects, bytes float64, when time.Time) {
		if when.After(before) {
			return
		}
		key := tag + "\x00" + string(unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(stack))), 8*len(stack)))
		l := by[key]
		if l == nil {
			l = &Leak{Stack: stack, Tag: tag, Oldest: when}
			by[key] = l
		}
		l.Objects += objects
		l.Bytes += bytes
		if when.Before(l.Oldest) {
			l.Oldest = when
		}
	}
	eachDebugObject(func(o *debugObject) { add(o.allocated, o.tag, 1, float64(o.size), o.when) })
	sampler.mu.Lock()
	for _, o := range sampler.live {
		add(o.stack, o.tag, o.weight, o.weight*float64(o.size), o.when)
	}
	sampler.mu.Unlock()
	leaks := make([]Leak, 0, len(by))
	for _, l := range by {
		leaks = append(leaks, *l)
	}
	slices.SortFunc(leaks, func(a, b Leak) int { return cmp.Compare(b.Bytes, a.Bytes) })
	return leaks
}

// ReportLeaks writes what Leaks lists and returns how many entries there are. Call it where the program ends: the
// runtime has no hook for that.
//
//	defer alloc.ReportLeaks(os.Stderr)
func ReportLeaks(w io.Writer) int {
	leaks := Leaks(0)
	for _, l := range leaks {
		tag := ""
		if l.Tag != "" {
			tag = " for " + l.Tag
		}
		fmt.Fprintf(w, "vcmalloc: %.0f bytes in %.0f objects%s not freed, the oldest for %v, allocated at\n%s",
			l.Bytes, l.Objects, tag, time.Since(l.Oldest).Round(time.Millisecond), l.Stack)
	}
	return len(leaks)
}

// VerifyNone fails a test that leaves objects behind. Debug mode has to be on.
func VerifyNone(t interface {
	Helper()
	Errorf(format string, args ...any)
}) {
	t.Helper()
	var b strings.Builder
	if ReportLeaks(&b) > 0 {
		t.Errorf("%s", b.String())
	}
}

// inPackage reports whether pc lies in this package, tests excepted.
func inPackage(pc uintptr) bool {
	f := runtime.FuncForPC(pc - 1)
	return f != nil && strings.HasPrefix(f.Name(), packagePath)
}

const packagePath = "github.com/vcmalloc/vcmalloc/alloc."
