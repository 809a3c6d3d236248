package alloc

import (
	"bytes"
	"fmt"
	"os"
	"sync"
	"time"
	"unsafe"

	"github.com/vcmalloc/vcmalloc/internal/sys"
)

// DebugOptions say how debug mode treats objects. The zero value is a good choice.
type DebugOptions struct {
	// Quarantine is how many bytes of freed objects are kept back, so that uses after free hit poison and not
	// somebody's new object. 0: 16 MiB.
	Quarantine int
	// GoHeap takes objects from the Go heap, where the race detector and checkptr see accesses to them: neither
	// looks at other memory. Use it with -race to find races on off-heap objects. Arenas are not concerned.
	GoHeap bool
	// OnReport gets what was found, in the goroutine that made the call. nil: the report is written on standard
	// error and the process aborts, but for a leaked arena.
	OnReport func(Report)
}

// Report is a misuse of memory that debug mode found.
type Report struct {
	Kind      string // "double free", "use after free", "overflow", "interior pointer", "size mismatch", "leaked arena"
	Detail    string
	Address   uintptr
	Size      uintptr
	Allocated Stack
	Freed     Stack // if it was freed
	Now       Stack // of the call that found it
}

// String is one line, then the stacks.
func (r Report) String() string {
	s := fmt.Sprintf("vcmalloc: %s: object of %d bytes at %#x: %s\n", r.Kind, r.Size, r.Address, r.Detail)
	for _, part := range []struct {
		title string
		stack Stack
	}{{"found at", r.Now}, {"allocated at", r.Allocated}, {"freed at", r.Freed}} {
		if len(part.stack) > 0 {
			s += "  " + part.title + "\n" + part.stack.String()
		}
	}
	return s
}

const (
	fresh     = 0xcd // what new objects are filled with
	poison    = 0xdd // and freed ones
	redzone   = 0xfa // and the bytes behind an object
	redBytes  = 32
	defaultQ  = 16 << 20
	poisonCap = 1 << 20 // of an object that is checked and filled: longer ones would make programs crawl
)

// debugObject is what debug mode remembers of an object, from its allocation until it leaves the quarantine.
type debugObject struct {
	at, size         uintptr
	allocated, freed Stack
	tag              string
	when             time.Time
	goHeap           []uint64 // its memory, with DebugOptions.GoHeap
	usable           uintptr  // bytes it has of the heap
}

var debug struct {
	mu         sync.Mutex
	options    DebugOptions
	objects    map[uintptr]*debugObject
	quarantine []*debugObject      // oldest first
	held       int                 // bytes in it
	guards     []guarded           // chunks of freed arenas, oldest first
	chunks     map[uintptr]guarded // of arenas that are not freed, by address
	live, kept debugBooks          // of objects and chunks that the program has, and of those that are kept back
}

// debugBooks count memory of the heap that debug mode knows: not what DebugOptions.GoHeap takes elsewhere.
type debugBooks struct {
	asked, usable uintptr
	objects       uint64
}

func (b *debugBooks) add(asked, usable uintptr) {
	if usable != 0 {
		b.asked, b.usable, b.objects = b.asked+asked, b.usable+usable, b.objects+1
	}
}

func (b *debugBooks) remove(asked, usable uintptr) {
	if usable != 0 {
		b.asked, b.usable, b.objects = b.asked-asked, b.usable-usable, b.objects-1
	}
}

// debugStats moves what is kept back to the caches' share, and says what the program asked for. What is older than debug
// mode counts as it is usable.
func debugStats(s *Stats) {
	debug.mu.Lock()
	defer debug.mu.Unlock()
	kept := min(debug.kept.usable, s.Usable)
	s.Usable, s.Cached, s.Objects = s.Usable-kept, s.Cached+kept, s.Objects-min(debug.kept.objects, s.Objects)
	s.Requested = debug.live.asked + s.Usable - min(debug.live.usable, s.Usable)
	s.Samples = -1
}

// EnableDebug turns debug mode on: every object is poisoned when it is freed and kept back for a while, has a red
// zone behind it, and carries the stacks of its allocation and its free; arenas have guard pages. Call it first
// thing in main or TestMain, or build with the tag vcmdebug. Objects allocated before are served as usual. There
// is no way back.
func EnableDebug(o DebugOptions) error {
	if err := start(); err != nil {
		return err
	}
	if o.Quarantine == 0 {
		o.Quarantine = defaultQ
	}
	debug.mu.Lock()
	debug.options = o
	if debug.objects == nil {
		makeDebugMaps()
	}
	debug.mu.Unlock()
	hooks.Or(hookDebug)
	closeMalloc()
	door.grown.Store(0)
	return nil
}

func makeDebugMaps() {
	debug.objects = map[uintptr]*debugObject{}
	debug.chunks = map[uintptr]guarded{}
}

// DebugEnabled reports whether debug mode is on.
func DebugEnabled() bool { return hooks.Load()&hookDebug != 0 }

// debugMalloc makes an object with a red zone.
func debugMalloc(size, align uintptr, tag string) (unsafe.Pointer, error) {
	if size > maxRequest {
		return nil, ErrOutOfMemory
	}
	o := &debugObject{size: size, allocated: callers(), tag: tag, when: time.Now()}
	total := size + redBytes
	if debug.options.GoHeap {
		align = max(align, 16)
		o.goHeap = make([]uint64, (total+align+7)/8)
		o.at = (uintptr(unsafe.Pointer(unsafe.SliceData(o.goHeap))) + align - 1) &^ (align - 1)
	} else {
		p, err := plain(total, max(align, 1))
		if err != nil && FlushQuarantine() > 0 { // rather than to refuse what would fit without debug mode
			p, err = plain(total, max(align, 1))
		}
		if err != nil {
			return nil, err
		}
		o.at, o.usable = uintptr(p), core.Usable(uintptr(p))
	}
	paint(o.memory()[:min(size, poisonCap)], fresh)
	paint(o.zone(), redzone)
	debug.mu.Lock()
	debug.objects[o.at] = o
	debug.live.add(o.size, o.usable)
	debug.mu.Unlock()
	return o.pointer(), nil
}

func (o *debugObject) pointer() unsafe.Pointer {
	if o.goHeap != nil {
		first := unsafe.Pointer(unsafe.SliceData(o.goHeap))
		return unsafe.Add(first, o.at-uintptr(first))
	}
	return sys.At(o.at)
}

func (o *debugObject) memory() []byte { return unsafe.Slice((*byte)(o.pointer()), o.size) }
func (o *debugObject) zone() []byte {
	return unsafe.Slice((*byte)(unsafe.Add(o.pointer(), o.size)), redBytes)
}

func paint(b []byte, with byte) {
	if len(b) == 0 {
		return
	}
	b[0] = with
	for n := 1; n < len(b); n *= 2 {
		copy(b[n:], b[:n])
	}
}

// differs is the index of the first byte of b that is not c; -1 if all are.
func differs(b []byte, c byte) int {
	if len(b) > 0 && b[0] == c && bytes.Equal(b[1:], b[:len(b)-1]) {
		return -1
	}
	for i := range b {
		if b[i] != c {
			return i
		}
	}
	return -1
}

// debugFree frees p if debug mode knows it.
func debugFree(p unsafe.Pointer) bool {
	debug.mu.Lock()
	o := debug.objects[uintptr(p)]
	if o == nil {
		r, bad := explainInterior(uintptr(p))
		debug.mu.Unlock()
		if bad {
			report(r)
		}
		return bad
	}
	if o.freed != nil {
		debug.mu.Unlock()
		report(o.report("double free", "it is free already"))
		return true
	}
	o.freed = callers()
	debug.mu.Unlock()
	if i := differs(o.zone(), redzone); i >= 0 {
		report(o.report("overflow", fmt.Sprintf("byte %d behind its end was written", i)))
	}
	paint(o.memory()[:min(o.size, poisonCap)], poison)
	debug.mu.Lock()
	debug.live.remove(o.size, o.usable)
	debug.kept.add(o.size, o.usable)
	debug.quarantine = append(debug.quarantine, o)
	debug.held += int(o.size) + redBytes
	var leave []*debugObject
	for len(debug.quarantine) > 0 && debug.held > debug.options.Quarantine {
		old := debug.quarantine[0]
		debug.quarantine = debug.quarantine[1:]
		debug.held -= int(old.size) + redBytes
		delete(debug.objects, old.at)
		leave = append(leave, old)
	}
	debug.mu.Unlock()
	for _, old := range leave {
		old.leave()
	}
	return true
}

// leave ends an object's time in quarantine.
func (o *debugObject) leave() {
	debug.mu.Lock()
	debug.kept.remove(o.size, o.usable)
	debug.mu.Unlock()
	if i := differs(o.memory()[:min(o.size, poisonCap)], poison); i >= 0 {
		report(o.report("use after free", fmt.Sprintf("byte %d was written after it had been freed", i)))
	}
	if o.goHeap == nil {
		freePlain(sys.At(o.at))
	}
}

// FlushQuarantine checks and frees what debug mode keeps back, so that uses after free show now, and returns how many
// bytes that were. It does so by itself where memory is short.
func FlushQuarantine() (n uintptr) {
	debug.mu.Lock()
	leave, guards := debug.quarantine, debug.guards
	n = debug.kept.usable
	debug.quarantine, debug.held, debug.guards = nil, 0, nil
	for _, o := range leave {
		delete(debug.objects, o.at)
	}
	for _, g := range guards {
		debug.kept.remove(g.end-g.at, g.guard-g.at)
	}
	debug.mu.Unlock()
	for _, o := range leave {
		o.leave()
	}
	for _, g := range guards {
		g.leave()
	}
	return n
}

// explainInterior finds the object that p points into. Preconditions: debug.mu is held.
func explainInterior(p uintptr) (Report, bool) {
	for _, o := range debug.objects {
		if p > o.at && p < o.at+max(o.size, 1) {
			return o.report("interior pointer", fmt.Sprintf("what was freed lies %d bytes into it", p-o.at)), true
		}
	}
	return Report{}, false
}

// debugSize is the size that was asked for live object p.
func debugSize(p unsafe.Pointer) (uintptr, bool) {
	debug.mu.Lock()
	defer debug.mu.Unlock()
	if o := debug.objects[uintptr(p)]; o != nil && o.freed == nil {
		return o.size, true
	}
	return 0, false
}

// debugMismatch reports an object freed with a size it does not have.
func debugMismatch(p unsafe.Pointer, size uintptr) {
	debug.mu.Lock()
	o := debug.objects[uintptr(p)]
	debug.mu.Unlock()
	if o != nil && o.freed == nil && o.size != size {
		report(o.report("size mismatch", fmt.Sprintf("it was freed as one of %d bytes", size)))
	}
}

func eachDebugObject(f func(*debugObject)) {
	debug.mu.Lock()
	defer debug.mu.Unlock()
	for _, o := range debug.objects {
		if o.freed == nil {
			f(o)
		}
	}
}

// Describe says what debug mode knows of the memory at p: which object or arena's chunk it lies in, live or freed, with
// the stacks. Empty if nothing is known. CatchFaults asks it by itself.
func Describe(p uintptr) string {
	if r, ok := describe(p); ok {
		return r.String()
	}
	return ""
}

func describe(p uintptr) (Report, bool) {
	debug.mu.Lock()
	defer debug.mu.Unlock()
	for _, o := range debug.objects {
		if p >= o.at && p < o.at+o.size+redBytes {
			state := "live"
			if o.freed != nil {
				state = "freed"
			}
			r := o.report(state, fmt.Sprintf("the address lies %d bytes into it", p-o.at))
			r.Now = nil
			return r, true
		}
	}
	for i := range debug.guards {
		if g := &debug.guards[i]; g.holds(p) {
			return g.describe(p), true
		}
	}
	for _, g := range debug.chunks {
		if g.holds(p) {
			return g.describe(p), true
		}
	}
	return Report{}, false
}

func (o *debugObject) report(kind, detail string) Report {
	return Report{Kind: kind, Detail: detail, Address: o.at, Size: o.size, Allocated: o.allocated, Freed: o.freed, Now: callers()}
}

func report(r Report) {
	debug.mu.Lock()
	f := debug.options.OnReport
	debug.mu.Unlock()
	if f != nil {
		f(r)
		return
	}
	os.Stderr.WriteString(r.String())
	if r.Kind != leakedArena { // that is no damage
		sys.Abort()
	}
}

const leakedArena = "leaked arena"
