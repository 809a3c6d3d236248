// Package rtfree proves that the allocator's core runs without the Go runtime.
//
// The core is Go source, compiled by the ordinary compiler, that C calls on its own stack in a process whose
// Go runtime never starts (DESIGN.md, section 2). Nothing in the language keeps a Go function from needing
// the runtime, and nothing fails at build time if one does: the first call of a map would walk into a
// scheduler that was never initialised. So this package reads the machine code that ships and checks it.
//
// # What it proves
//
// [Check] takes the go.o of a c-archive, as the Go linker wrote it, and optionally what was linked from it.
// From each entry point it walks every direct call and every tail jump, and in each function every
// instruction that can be reached:
//
//   - [Call]: a function outside the core is called only if it is on a short list: memmove and its like, raw
//     system calls, atomics and math/bits (walked by the same rules), the panics of failed bounds checks
//     (which the link tool redirects to a stub of ours), and morestack behind a stack check that always
//     passes. Allocation, maps, channels, defer, string building and the rest all show up as such a call.
//   - [Indirect]: no call or jump through a register or memory, save in functions the caller names. A switch
//     that the compiler turned into a jump table is one: its table is static data whose relocations the
//     link drops. Build the core with -gcflags=PKG=-spectre=ret to have none.
//   - [WriteBarrier]: the compiler emits none, by its own account (-d=wb=1).
//   - [PackageInit]: no core package has an init function. Nobody would call it.
//   - [StaticData]: no variable of a core package needs a relocation. The link drops them: such a pointer is
//     zero at run time.
//   - [RelocatedData]: code reachable from an entry refers to no datum, of whatever package, that needs one:
//     type descriptors, itabs, function values, generic dictionaries with contents.
//   - [Stack]: the frames along the deepest path of each entry fit the limit, every function leaves the stack
//     as it found it, and no path reaches a function twice ([Recursion]).
//   - [Prologue]: each function's stack check is one of the three forms the compiler is known to emit, against
//     g.stackguard0, and leads to morestack and nowhere else.
//   - [FakeG]: nothing else is read through R14, where compiled Go keeps g, and thread-local storage is read
//     only to restore R14.
//   - [Unpatched]: in the linked file every panic function that the core can call jumps to our stub.
//
// A violation carries the path from the entry to the offender, with file and line where .gopclntab has them.
//
// # How
//
// Each function becomes a graph of its reachable instructions with the depth of the stack at each (flow.go).
// A call sits at a known depth, so that the stack of an entry is the maximum, over its calls, of that depth
// plus the stack of the callee: exact, not a sum of frame sizes. Relocations of data are taken from go.o,
// before the link tool removes them.
//
// # What it can't see
//
//   - What C does: functions called through an allowed indirect call count with the stack budget stated for
//     them, and their effects are not looked at.
//   - Bodies of the trusted leaves (memmove, memclr, memequal...), which are assembly without calls out.
//   - Reads of runtime variables that hold plain numbers: they keep their static values, as nobody
//     initialises them. internal/cpu's feature flags are all false, so that memmove takes its oldest path and
//     bits.OnesCount64 its table, unless GOAMD64 says otherwise.
//   - Wrong programs in general: nil dereferences, data races, endless loops.
//   - The trampoline: that R14, the thread's g slot and XMM15 are set is the business of the C door's tests.
package rtfree
