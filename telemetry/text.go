package telemetry

import (
	"fmt"
	"io"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/jedib0t/go-pretty/v6/table"
)

// WriteText writes a process's numbers for people: where the bytes are, then a row for each size class and
// vCPU in use.
func WriteText(w io.Writer, p *Process) error {
	if p.Snapshot == nil {
		return p.Err
	}
	s := p.Snapshot
	now := time.Now()
	out := &printer{w: w}
	out.printf("process %d %s (%s), heap made %s ago, numbers of %s ago\n\n", p.PID, p.Command, p.State,
		round(now.Sub(s.Started)), round(s.Age(now)))
	out.table(totalsTable(&s.Totals))
	if s.Totals.Imbalance() != 0 {
		out.printf("%+d bytes were moving between two tiers when this was written\n", s.Totals.Imbalance())
	}
	t := &s.Totals
	out.printf("\nmisses of vCPU caches: %s on allocation, %s on free\n", humanize.Comma(int64(t.Underflows)), humanize.Comma(int64(t.Overflows)))
	out.printf("page heap: %s spans allocated, %s freed, %s hugepages grown, %s given back to the system, %d refusals\n",
		humanize.Comma(int64(t.SpansAllocated)), humanize.Comma(int64(t.SpansFreed)), humanize.Comma(int64(t.HugepagesGrown)),
		humanize.IBytes(t.ReleasedBytes), t.MadviseFailures)
	out.printf("spans: %s in shared hugepages (%s free there), %s in regions (%s free), %s in hugepages of their own\n",
		humanize.IBytes(t.FillerUsed), humanize.IBytes(t.FillerFree-min(t.RegionFree, t.FillerFree)),
		humanize.IBytes(t.RegionUsed), humanize.IBytes(t.RegionFree), humanize.IBytes(t.WholeUsed()))
	if t.Hinted > 0 {
		out.printf("spans of objects with a hint: %s\n", humanize.IBytes(t.Hinted))
	}
	out.printf("%s hugepages collapsed, soft limit exceeded %s times, hard limit refused %s requests\n\n",
		humanize.Comma(int64(t.Collapsed)), humanize.Comma(int64(t.SoftHits)), humanize.Comma(int64(t.HardRefusals)))
	out.table(classTable(s.Classes))
	out.printf("\n")
	out.table(vcpuTable(s.VCPUs))
	if len(s.Domains) > 1 {
		out.printf("\nreused across last-level cache domains: %s of %s objects (%.2f %%), of which at least %s had to; carried by vCPUs: at most %s\n\n", humanize.Comma(int64(t.Crossed)),
			humanize.Comma(int64(t.Reused)), 100*t.CrossedShare(), humanize.Comma(int64(t.Forced)), humanize.Comma(int64(t.Carried)))
		out.table(domainTable(s.Domains))
	}
	if len(s.Nodes) > 0 {
		out.printf("\n")
		out.table(nodeTable(s.Nodes))
	}
	if all := s.ReturnBands(); len(all) > 0 {
		out.printf("\nspans by live objects: how many of those seen were returned within a second\n\n")
		out.table(bandTable(all))
	}
	if rho, n := s.ReturnCorrelation(); n > 2 {
		out.printf("\nspan capacity and return rate, over %d size classes: Spearman's coefficient %+.2f\n", n, rho)
	}
	return out.err
}

// WriteDelta writes what changed for people.
func WriteDelta(w io.Writer, d *Delta) error {
	out := &printer{w: w}
	out.printf("process %d, changes in %s\n\n", d.PID, round(d.Interval))
	t := newTable("change", "bytes", "per second")
	for _, row := range []struct {
		name  string
		bytes int64
	}{
		{"mapped for the heap", d.Mapped}, {"in use", d.InUse}, {"slack", d.Slack}, {"cached in tiers", d.Cached},
		{"free in the page heap", d.PageHeapFree}, {"without memory", d.WithoutPages}, {"metadata", d.Meta},
	} {
		t.AppendRow(table.Row{row.name, signed(row.bytes), rate(d, row.bytes)})
	}
	out.table(t)
	out.printf("\n")
	t = newTable("event", "count", "per second")
	for _, row := range []struct {
		name  string
		count uint64
	}{
		{"misses on allocation", d.Underflows}, {"misses on free", d.Overflows},
		{"spans allocated", d.SpansAllocated}, {"spans freed", d.SpansFreed}, {"hugepages grown", d.HugepagesGrown},
		{"bytes given back to the system", d.ReleasedBytes}, {"refusals by the system", d.MadviseFailures},
	} {
		t.AppendRow(table.Row{row.name, humanize.Comma(int64(row.count)), fmt.Sprintf("%.1f", d.PerSecond(row.count))})
	}
	out.table(t)
	if len(d.Classes) == 0 {
		return out.err
	}
	out.printf("\n")
	t = newTable("size", "in use", "spans", "fetched", "returned", "transfer hits", "misses", "lock waits")
	for _, k := range d.Classes {
		t.AppendRow(table.Row{k.Size, signed(k.Used), signed(k.Spans), k.Fetched, k.Returned, k.TransferHits, k.TransferMisses, k.LockWaits})
	}
	out.table(t)
	return out.err
}
