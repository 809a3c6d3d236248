package telemetry

import (
	"fmt"
	"io"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

func totalsTable(t *Totals) table.Writer {
	out := newTable("where", "bytes", "", "of mapped", "objects")
	row := func(name string, bytes uint64, objects any) {
		share := ""
		if t.Mapped > 0 {
			share = fmt.Sprintf("%.1f %%", 100*float64(bytes)/float64(t.Mapped))
		}
		out.AppendRow(table.Row{name, humanize.Comma(int64(bytes)), humanize.IBytes(bytes), share, objects})
	}
	for _, p := range t.Parts() {
		var objects any = ""
		switch p.Name {
		case "used":
			objects = t.UsedObjects
		case "large":
			objects = t.LargeObjects
		}
		row(p.Help, p.Bytes, objects)
	}
	row("= mapped for the heap", t.Mapped, "")
	row("metadata, mapped besides", t.Meta, "")
	if t.Side > 0 {
		row("side region (allocations during fork)", t.Side, "")
	}
	return out
}

func classTable(classes []Class) table.Writer {
	t := newTable("class", "size", "in use", "per CPU", "transfer", "free", "spans", "fetched", "returned",
		"transfer hits", "misses", "lock waits")
	for i := range classes {
		if k := &classes[i]; k.Active() {
			t.AppendRow(table.Row{k.ID, k.Size, k.Used, k.PerCPU, k.Transfer, k.Free, k.Spans, k.Fetched, k.Returned,
				k.TransferHits, k.TransferMisses, k.CentralContended + k.TransferContended})
		}
	}
	return t
}

func vcpuTable(vcpus []VCPU) table.Writer {
	t := newTable("vCPU", "cached", "capacity", "not given out", "slab", "misses on allocation", "on free", "drains", "steals", "resizes")
	for i := range vcpus {
		v := &vcpus[i]
		t.AppendRow(table.Row{v.ID, humanize.IBytes(v.Used), humanize.IBytes(v.Capacity), humanize.IBytes(v.Available),
			humanize.IBytes(v.SlabBytes), v.Underflows, v.Overflows, v.Drains, v.Steals, v.Resizes})
	}
	return t
}

func domainTable(domains []Domain) table.Writer {
	t := newTable("domain", "CPUs", "own caches", "cached", "hits", "misses")
	for i := range domains {
		d := &domains[i]
		open := "no"
		if d.Open {
			open = "yes"
		}
		t.AppendRow(table.Row{d.ID, d.CPUs, open, humanize.IBytes(d.Bytes), d.Hits, d.Misses})
	}
	return t
}

func nodeTable(nodes []Node) table.Writer {
	t := newTable("NUMA node", "CPUs", "mapped", "spans", "free", "no memory", "objects", "to others", "back from others")
	for i := range nodes {
		n := &nodes[i]
		t.AppendRow(table.Row{n.ID, n.CPUs, humanize.IBytes(n.Mapped), humanize.IBytes(n.Spans), humanize.IBytes(n.Free),
			humanize.IBytes(n.Unbacked), n.Near, n.Far, n.Home})
	}
	return t
}

func bandTable(bands []Band) table.Writer {
	t := newTable("live", "seen", "returned", "rate")
	for _, b := range bands {
		t.AppendRow(table.Row{b.String(), b.Seen, b.Gone, fmt.Sprintf("%.2f %%", 100*b.Rate())})
	}
	return t
}

// newTable is a table in the house style: no frame, the first column to the left, numbers to the right.
func newTable(columns ...string) table.Writer {
	t := table.NewWriter()
	style := table.StyleDefault
	style.Options = table.OptionsNoBordersAndSeparators
	style.Format.Header = text.FormatDefault
	style.Box.PaddingLeft = ""
	t.SetStyle(style)
	t.SuppressTrailingSpaces()
	header := make(table.Row, len(columns))
	configs := make([]table.ColumnConfig, len(columns))
	for i, c := range columns {
		align := text.AlignRight
		if i == 0 && c != "class" && c != "size" && c != "vCPU" {
			align = text.AlignLeft
		}
		header[i] = c
		configs[i] = table.ColumnConfig{Number: i + 1, Align: align, AlignHeader: align}
	}
	t.AppendHeader(header)
	t.SetColumnConfigs(configs)
	return t
}

// printer remembers the first error of a run of writes.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) printf(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, args...)
	}
}

func (p *printer) table(t table.Writer) { p.printf("%s\n", t.Render()) }

func signed(n int64) string {
	if n > 0 {
		return "+" + humanize.Comma(n)
	}
	return humanize.Comma(n)
}

func rate(d *Delta, bytes int64) string {
	n := d.PerSecond(magnitude(bytes))
	if bytes < 0 {
		return "-" + humanize.IBytes(uint64(n))
	}
	return humanize.IBytes(uint64(n))
}

func magnitude(n int64) uint64 {
	if n < 0 {
		return -uint64(n)
	}
	return uint64(n)
}

// round shortens a duration to what a reader wants of it.
func round(d time.Duration) time.Duration {
	switch {
	case d < 10*time.Second:
		return d.Round(100 * time.Millisecond)
	default:
		return d.Round(time.Second)
	}
}
