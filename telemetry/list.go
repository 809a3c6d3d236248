package telemetry

import (
	"io"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/jedib0t/go-pretty/v6/table"
)

// WriteList writes a row for each process that has a snapshot. deltas, which may be nil, has the latest changes
// of some of them, by process id.
func WriteList(w io.Writer, processes []Process, deltas map[int]*Delta) error {
	t := newTable("PID", "command", "state", "in use", "cached", "free", "slack", "released", "mapped", "objects", "misses/s", "age")
	now := time.Now()
	for i := range processes {
		p := &processes[i]
		if p.Snapshot == nil {
			continue
		}
		m := &p.Snapshot.Totals
		misses := "-"
		if d := deltas[p.PID]; d != nil {
			misses = humanize.Comma(int64(d.PerSecond(d.Underflows + d.Overflows)))
		}
		t.AppendRow(table.Row{p.PID, p.Command, p.State, humanize.IBytes(m.InUse()), humanize.IBytes(m.Cached()),
			humanize.IBytes(m.PageHeapFree()), humanize.IBytes(m.Slack), humanize.IBytes(m.FillerReleased + m.Unbacked),
			humanize.IBytes(m.Mapped), humanize.Comma(int64(m.UsedObjects + m.LargeObjects)), misses, round(p.Snapshot.Age(now))})
	}
	out := &printer{w: w}
	out.table(t)
	return out.err
}
