package alloc

import (
	"fmt"
	"runtime"
	"unsafe"

	"github.com/vcmalloc/vcmalloc/internal/sys"
	"github.com/vcmalloc/vcmalloc/internal/units"
)

// arenaDebug is what debug mode adds to an arena; nil where it is off.
type arenaDebug struct {
	allocated Stack
	cleanup   runtime.Cleanup
}

// guarded is a chunk with a guard page behind it; once its arena is freed nobody may touch either for a while.
type guarded struct {
	at, end, guard   uintptr // guard is where the guard page ends
	allocated, freed Stack
}

func (g *guarded) holds(p uintptr) bool { return p >= g.at && p < g.guard }

// describe is what there is to say of address p, which lies in g.
func (g *guarded) describe(p uintptr) Report {
	r := Report{Kind: "arena", Address: g.at, Size: g.end - g.at, Allocated: g.allocated, Freed: g.freed}
	if g.freed != nil {
		r.Kind = "freed arena"
	}
	if r.Detail = "the address lies in a chunk of it"; p >= g.end {
		r.Detail = fmt.Sprintf("the address lies %d bytes behind a chunk of it, in the guard page", p-g.end)
	}
	return r
}

// debugArena watches a if debug mode is on: an arena that the collector finds unreachable and that was not freed
// is reported, with the stack of its making.
func debugArena(a *Arena) *arenaDebug {
	if !DebugEnabled() {
		return nil
	}
	d := &arenaDebug{allocated: callers()}
	d.cleanup = runtime.AddCleanup(a, func(made Stack) {
		report(Report{Kind: leakedArena, Detail: "nobody refers to it any more, and Free was not called", Allocated: made})
	}, d.allocated)
	return d
}

// chunk makes a chunk of n bytes; in debug mode with a page behind it that can't be touched.
func (d *arenaDebug) chunk(n uintptr, future Hint) (chunk, error) {
	if d == nil {
		return allocChunk(n, future)
	}
	n = (n + units.PageSize - 1) &^ (units.PageSize - 1)
	total := max(n+units.PageSize, units.MaxSmall+units.PageSize)
	p, zeroed := allocLarge(total, 1)
	if p == 0 && FlushQuarantine() > 0 {
		p, zeroed = allocLarge(total, 1)
	}
	if p == 0 {
		return chunk{}, ErrOutOfMemory
	}
	if e := sys.Mprotect(p+n, total-n, sys.ProtNone); e != 0 {
		freePlain(sys.At(p))
		return chunk{}, fmt.Errorf("vcmalloc: no guard page: errno %d", e)
	}
	debug.mu.Lock()
	debug.live.add(n, total)
	debug.chunks[p] = guarded{at: p, end: p + n, guard: p + total, allocated: d.allocated}
	debug.mu.Unlock()
	c := chunk{p, p + n, p + n}
	if zeroed {
		c.zeroed = p
	}
	return c, nil
}

// release gives a chunk back; in debug mode it is made untouchable and kept back for a while.
func (d *arenaDebug) release(c chunk) {
	if d == nil {
		Free(sys.At(c.at))
		return
	}
	sys.Mprotect(c.at, c.end-c.at, sys.ProtNone)
	freed := callers()
	debug.mu.Lock()
	g := debug.chunks[c.at]
	delete(debug.chunks, c.at)
	g.freed = freed
	debug.guards = append(debug.guards, g)
	debug.live.remove(g.end-g.at, g.guard-g.at)
	debug.kept.add(g.end-g.at, g.guard-g.at)
	held := uintptr(0)
	for _, g := range debug.guards {
		held += g.end - g.at
	}
	var leave []guarded
	for held > uintptr(debug.options.Quarantine) {
		g := debug.guards[0]
		debug.guards = debug.guards[1:]
		held -= g.end - g.at
		debug.kept.remove(g.end-g.at, g.guard-g.at)
		leave = append(leave, g)
	}
	debug.mu.Unlock()
	for _, g := range leave {
		g.leave()
	}
}

// leave lets a freed arena's chunk be touched again, and frees it.
func (g *guarded) leave() {
	sys.Mprotect(g.at, g.guard-g.at, sys.ProtRead|sys.ProtWrite)
	freePlain(sys.At(g.at))
}

// reset poisons what was handed out.
func (d *arenaDebug) reset(a *Arena) {
	if d == nil {
		return
	}
	for i := range a.chunks {
		c := &a.chunks[i]
		paint(unsafe.Slice((*byte)(sys.At(c.at)), c.zeroed-c.at), poison)
	}
}

// freed ends the watch.
func (d *arenaDebug) freed() {
	if d != nil {
		d.cleanup.Stop()
	}
}
