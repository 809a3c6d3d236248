package designs

import "github.com/vcmalloc/vcmalloc/bench/report"

var lifetimeFiller = Design{
	Name: "lifetime_filler", Features: "-all,+lifetime_filler", Title: "Table 5.2 and Fig. 5.17: lifetime-aware hugepage filler",
	Columns: []Column{{"filler free, MiB", beforeAfter("filler free")}, {"hugepage cache, MiB", beforeAfter("hugepage cache")}},
	Finish:  func(s *report.Suite, d *Design) { s.Extra = append(s.Extra, breakdown(s, d)) },
}
