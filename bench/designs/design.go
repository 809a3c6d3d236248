package designs

import (
	"context"
	"slices"
	"strings"

	"github.com/vcmalloc/vcmalloc/bench/lab"
	"github.com/vcmalloc/vcmalloc/bench/report"
	"github.com/vcmalloc/vcmalloc/bench/runner"
)

// Design is what is compared with the legacy design.
type Design struct {
	// Name is the subject's, and what --only chooses it by.
	Name string

	// Features is the value of VCMALLOC_FEATURES. The legacy design's is "-all".
	Features string

	// Title of its table: the paper's that it is shaped like.
	Title string

	// Env (NAME=value) is set for the design and for the legacy design that it is compared with. A design that has
	// any is a suite of its own, called designs-NAME, with a legacy design in it that has the same settings. May be nil.
	Env func(*lab.Lab) []string

	// Columns of its table, besides those that all have.
	Columns []Column

	// Cases are measured for this design besides the usual ones. May be nil.
	Cases func(context.Context, *lab.Lab) ([]runner.Case, error)

	// Finish adds plots, tables and notes to its suite, once that is judged. May be nil.
	Finish func(*report.Suite)
}

// designs in the order of the report.
var designs = []*Design{&percpuResize, &nuca, &spanPriority, &lifetimeFiller, &everything}

// everything is all designs at once.
var everything = Design{Name: "all", Features: "+all", Title: "5.4.5: all designs"}

// chosen designs of the words of --only: those named, or all if none is. Words are as given, with commas.
func chosen(options []string) (out []*Design, words []string) {
	for _, o := range options {
		for _, w := range strings.Split(o, ",") {
			w = strings.TrimSpace(w)
			i := slices.IndexFunc(designs, func(d *Design) bool { return d.Name == w })
			if i >= 0 && !slices.Contains(words, w) {
				out, words = append(out, designs[i]), append(words, w)
			}
		}
	}
	if len(words) == 0 {
		return designs, nil
	}
	return out, words
}
