package designs

import (
	"context"
	"slices"
	"strings"

	"github.com/vcmalloc/vcmalloc/bench/lab"
	"github.com/vcmalloc/vcmalloc/bench/report"
	"github.com/vcmalloc/vcmalloc/bench/runner"
)

// Side of a comparison: the library with these settings. Names are the subject's.
type Side struct {
	Name, Features string // Features is the value of VCMALLOC_FEATURES
	Env            []string
}

// Design is what is compared with the legacy design, or another Before.
type Design struct {
	// Name is the subject's, and what --only chooses it by.
	Name string

	// Features is the value of VCMALLOC_FEATURES. The legacy design's is "-all".
	Features string

	// Title of its table: the paper's that it is shaped like.
	Title string

	// Before is what it is compared with; the zero value is the legacy design. A design that has one is a suite of its
	// own, as one that has Env.
	Before Side

	// Set (NAME=value) is for the design alone, besides Features.
	Set []string

	// Env (NAME=value) is set for the design and for the legacy design that it is compared with. A design that has
	// any is a suite of its own, called designs-NAME, with a legacy design in it that has the same settings. May be nil.
	Env func(*lab.Lab) []string

	// Columns of its table, besides those that all have.
	Columns []Column

	// Cases are measured for this design besides the usual ones, or OnlyOwn. May be nil.
	Cases   func(context.Context, *lab.Lab) ([]runner.Case, error)
	OnlyOwn bool

	// Finish adds plots, tables and notes to its suite, once that is judged. May be nil.
	Finish func(*report.Suite, *Design)
}

// designs in the order of the report.
var designs = []*Design{&percpuResize, &nuca, &spanPriority, &lifetimeFiller, &everything}

// questions are comparisons that only --only asks for: not of the paper's designs, but of what we chose.
var questions = []*Design{&percpuRule, &release}

// alone tells whether it is a suite of its own.
func (d *Design) alone() bool { return d.Env != nil || d.Before.Name != "" }

// before is what it is compared with.
func (d *Design) before() Side {
	if d.Before.Name == "" {
		return Side{Name: legacy, Features: "-all"}
	}
	return d.Before
}

// everything is all designs at once.
var everything = Design{Name: "all", Features: "+all", Title: "5.4.5: all designs"}

// chosen designs of the words of --only: those named, or all if none is. Words are as given, with commas.
func chosen(options []string) (out []*Design, words []string) {
	known := slices.Concat(designs, questions)
	for _, o := range options {
		for _, w := range strings.Split(o, ",") {
			w = strings.TrimSpace(w)
			i := slices.IndexFunc(known, func(d *Design) bool { return d.Name == w })
			if i >= 0 && !slices.Contains(words, w) {
				out, words = append(out, known[i]), append(words, w)
			}
		}
	}
	if len(words) == 0 {
		return designs, nil
	}
	return out, words
}
