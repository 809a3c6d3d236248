package designs

var percpuResize = Design{
	Name: "percpu_resize", Features: "-all,+percpu_resize", Title: "Fig. 5.10: heterogeneous per-CPU caches",
	Columns: []Column{{"per-CPU capacity, MiB", beforeAfter("per-CPU capacity")}, {"misses, /s", beforeAfter("per-CPU misses")}},
}
