package designs

var lifetimeFiller = Design{
	Name: "lifetime_filler", Features: "-all,+lifetime_filler", Title: "Table 5.2 and Fig. 5.17: lifetime-aware hugepage filler",
	Columns: []Column{{"filler free, MiB", beforeAfter("filler free")}, {"hugepage cache, MiB", beforeAfter("hugepage cache")}},
}
