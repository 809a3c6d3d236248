package rtfree

import (
	"fmt"
	"strings"
)

// Kind names the rule that a violation breaks. The package comment tells what each means.
type Kind string

// The rules.
const (
	Call          Kind = "call"
	Indirect      Kind = "indirect"
	WriteBarrier  Kind = "write barrier"
	PackageInit   Kind = "package init"
	StaticData    Kind = "static data"
	RelocatedData Kind = "relocated data"
	Stack         Kind = "stack"
	Recursion     Kind = "recursion"
	Prologue      Kind = "prologue"
	FakeG         Kind = "fake g"
	Unpatched     Kind = "unpatched"
	Undecodable   Kind = "undecodable"
)

// Step is one function on a path through the call graph, and the place in it where the path goes on (or,
// for the last step, where the offence is). Where is file:line if the binary tells, else symbol+offset.
type Step struct {
	Func  string
	Where string
}

// Violation is one broken rule.
type Violation struct {
	Kind Kind
	// What says in words what is wrong, naming the offending symbol.
	What string
	// Where is the place of the offence: file:line, or symbol+offset.
	Where string
	// Path leads from the entry to the offender. Rules about packages and data have none.
	Path []Step
	// File is the binary in which it was seen.
	File string
}

// String shows the violation with its whole path, one step a line.
func (v Violation) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", v.Kind, v.What)
	if v.Where != "" {
		fmt.Fprintf(&b, " (%s)", v.Where)
	}
	writePath(&b, v.Path)
	return b.String()
}

// EntryReport is what was found out about one entry point.
type EntryReport struct {
	Entry
	// Depth is the most stack the entry uses, in bytes, its own return address included.
	Depth int
	// Deepest is the path that uses it.
	Deepest []Step
	// Functions is the number of functions reachable from the entry.
	Functions int
}

// Report is the outcome of a check.
type Report struct {
	Entries    []EntryReport
	Violations []Violation
	// Outside lists the functions outside the core packages that the core calls, sorted.
	Outside []string
}

// Err is nil if nothing is violated, and otherwise an error that shows every violation.
func (r Report) Err() error {
	if len(r.Violations) == 0 {
		return nil
	}
	var b strings.Builder
	fmt.Fprintf(&b, "rtfree: %d violations", len(r.Violations))
	for _, v := range r.Violations {
		b.WriteString("\n" + v.String())
	}
	return fmt.Errorf("%s", b.String())
}

// String is a table of the entries with their stack depths, each followed by its deepest path.
func (r Report) String() string {
	var b strings.Builder
	for _, e := range r.Entries {
		name := e.C
		if name == "" {
			name = e.Go
		}
		fmt.Fprintf(&b, "%-28s %5d bytes of stack, %3d functions", name, e.Depth, e.Functions)
		writePath(&b, e.Deepest)
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "outside the core: %s\n", strings.Join(r.Outside, " "))
	return b.String()
}

func writePath(b *strings.Builder, path []Step) {
	for i, s := range path {
		arrow := "   "
		if i > 0 {
			arrow = "-> "
		}
		fmt.Fprintf(b, "\n      %s%s", arrow, s.Func)
		if s.Where != "" {
			fmt.Fprintf(b, "  %s", s.Where)
		}
	}
}
