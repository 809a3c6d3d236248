package designs

import (
	"context"

	"github.com/vcmalloc/vcmalloc/bench/lab"
	"github.com/vcmalloc/vcmalloc/bench/runner"
	"github.com/vcmalloc/vcmalloc/bench/work"
)

var percpuResize = Design{
	Name: "percpu_resize", Features: "-all,+percpu_resize", Title: "Fig. 5.10: heterogeneous per-CPU caches",
	Columns: []Column{{"per-CPU capacity, MiB", beforeAfter("per-CPU capacity")}, {"misses, /s", beforeAfter("per-CPU misses")}},
	Cases: func(_ context.Context, l *lab.Lab) ([]runner.Case, error) {
		// Caches are resized every 5 s: the loads of Fig. 5.9a for long enough to see that.
		ops := lab.Pick(l.Size, 8000000, 3000000, 5000)
		return []runner.Case{work.KeyValue(l, "diurnal, long", "day", ops), work.KeyValue(l, "bursts, long", "bursts", ops)}, nil
	},
}
