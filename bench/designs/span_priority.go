package designs

import (
	"context"

	"github.com/vcmalloc/vcmalloc/bench/lab"
	"github.com/vcmalloc/vcmalloc/bench/runner"
	"github.com/vcmalloc/vcmalloc/bench/work"
)

var spanPriority = Design{
	Name: "span_priority", Features: "-all,+span_priority", Title: "Fig. 5.14: span prioritisation",
	Columns: []Column{
		{"spans returned, /s", beforeAfter("spans returned")},
		{"Spearman (Fig. 5.16)", beforeAfter(correlation[0].Name)},
	},
	Cases: func(_ context.Context, l *lab.Lab) ([]runner.Case, error) {
		// Fig. 5.13 is made of what became of spans from second to second.
		return []runner.Case{work.KeyValue(l, "key-value, many seconds", "day", lab.Pick(l.Size, 8000000, 2000000, 5000))}, nil
	},
}
