package alloc

import (
	"fmt"
	"runtime"
	godebug "runtime/debug"
	"strings"
)

// Fault is what a goroutine panics with that CatchFaults watches: a use of memory that debug mode keeps from being
// touched. It is a runtime.Error, as the runtime's own would be.
type Fault struct {
	Report Report // of kind "use after free" or "overflow"
	at     uintptr
	cause  runtime.Error
}

// Error is the report: one line, then the stacks of the access, the allocation and the free.
func (f *Fault) Error() string { return strings.TrimSuffix(f.Report.String(), "\n") }

// Addr is the address that was used.
func (f *Fault) Addr() uintptr { return f.at }

// Unwrap is the runtime's own error.
func (f *Fault) Unwrap() error { return f.cause }

// RuntimeError makes it a runtime.Error.
func (f *Fault) RuntimeError() {}

// CatchFaults has the goroutine's faults in memory that debug mode protects (a freed arena's, a guard page) explained. Such
// a use panics with a *Fault, which says what lies at the address and where it was allocated and freed; where
// DebugOptions.OnReport is set, that has the report first. Defer what it returns, in each goroutine that is to be watched:
//
//	defer alloc.CatchFaults()()
//
// Meanwhile runtime/debug.SetPanicOnFault is on for the goroutine; afterwards it is as it was. So a fault
// anywhere else is a panic too, with the runtime's error, which can be recovered where it ended the process before.
// It passes through unchanged, as all other panics do. Calls nest: the innermost explains.
//
// What the system reads or writes for the program (a write of a freed slice to a file) does not fault, it is an error,
// EFAULT. Small objects do not fault either: debug mode finds writes to them later, by their poison.
//
// Without debug mode no memory of this package's faults, and CatchFaults does nothing. Turn debug mode on first.
func CatchFaults() func() {
	if !debugByTag && !DebugEnabled() {
		return func() {}
	}
	before := godebug.SetPanicOnFault(true)
	return func() {
		godebug.SetPanicOnFault(before)
		if v := recover(); v != nil {
			panic(explain(v)) // on top of the stack that faulted: a crash shows that too
		}
	}
}

// explain is what to panic with in place of v: v, unless that is a fault that debug mode can explain.
func explain(v any) any {
	e, ok := v.(interface {
		runtime.Error
		Addr() uintptr
	})
	if _, done := v.(*Fault); !ok || done {
		return v
	}
	r, ok := describe(e.Addr())
	if !ok {
		return v
	}
	switch {
	case len(r.Freed) > 0:
		r.Kind = "use after free"
	case r.Kind == "arena":
		r.Kind = "overflow"
	}
	r.Detail = fmt.Sprintf("fault at %#x: %s", e.Addr(), r.Detail)
	r.Now = faulted()
	debug.mu.Lock()
	f := debug.options.OnReport
	debug.mu.Unlock()
	if f != nil {
		f(r)
	}
	return &Fault{r, e.Addr(), e}
}

// faulted is the stack of the access that faulted, as long as nobody has recovered from it: what lies below the
// runtime's sigpanic.
func faulted() Stack {
	s := callers()
	for i, pc := range s {
		if f := runtime.FuncForPC(pc - 1); f != nil && f.Name() == "runtime.sigpanic" {
			return s[i+1:]
		}
	}
	return s
}
