package designs

var spanPriority = Design{
	Name: "span_priority", Features: "-all,+span_priority", Title: "Fig. 5.14: span prioritisation",
	Columns: []Column{
		{"spans returned, /s", beforeAfter("spans returned")},
		{"Spearman (Fig. 5.16)", beforeAfter(correlation[0].Name)},
	},
}
