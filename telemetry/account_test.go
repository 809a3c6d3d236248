package telemetry

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPartsAddUpToMapped(t *testing.T) {
	s := snapshot(t, sample(1))
	var sum uint64
	names := map[string]bool{}
	for _, p := range s.Totals.Parts() {
		sum += p.Bytes
		names[p.Name] = true
		assert.NotZero(t, p.Bytes, "%s: the sample gives each part a number", p.Name)
	}
	assert.Equal(t, s.Totals.Mapped, sum)
	assert.Equal(t, s.Totals.Accounted(), sum)
	assert.Len(t, names, 10)
	released := s.Totals.Mapped - s.Totals.Backed()
	assert.Equal(t, s.Totals.Mapped, s.Totals.InUse()+s.Totals.Slack+s.Totals.Cached()+s.Totals.PageHeapFree()+released)
}

func TestCheckNamesWhatDoesNotAddUp(t *testing.T) {
	for name, c := range map[string]struct {
		change func(s *Snapshot)
		want   string
	}{
		"part":          {func(s *Snapshot) { s.Totals.Cache++ }, "mapped_bytes"},
		"mapped":        {func(s *Snapshot) { s.Totals.Mapped-- }, "mapped_bytes"},
		"used objects":  {func(s *Snapshot) { s.Totals.UsedObjects++ }, "used_objects"},
		"used row":      {func(s *Snapshot) { s.Classes[1].Used++ }, "used_bytes"},
		"per-CPU row":   {func(s *Snapshot) { s.Classes[1].PerCPU-- }, "percpu_bytes"},
		"transfer row":  {func(s *Snapshot) { s.Classes[1].Transfer-- }, "transfer_bytes"},
		"central row":   {func(s *Snapshot) { s.Classes[1].Free-- }, "central_bytes"},
		"vCPU's bytes":  {func(s *Snapshot) { s.VCPUs[0].Used++ }, "vCPUs"},
		"vCPU's misses": {func(s *Snapshot) { s.VCPUs[1].Overflows++ }, "vCPUs"},
	} {
		t.Run(name, func(t *testing.T) {
			s := snapshot(t, sample(1))
			require.NoError(t, s.Check())
			c.change(s)
			assert.ErrorContains(t, s.Check(), c.want)
		})
	}
	s := snapshot(t, sample(1))
	s.Totals.Mapped -= 10
	assert.EqualValues(t, -10, s.Totals.Imbalance())
}

func TestSince(t *testing.T) {
	b := sample(1)
	before := snapshot(t, b)
	b.Sequence += 2
	b.Updated += 2e9
	b.Total.Underflows += 30
	b.Total.Used -= 160
	b.Total.Central += 160
	b.Class[2].Used -= 10
	b.Class[2].Free += 10
	b.Class[2].XferContend += 5
	after := snapshot(t, b)

	d, err := after.Since(before)
	require.NoError(t, err)
	assert.Equal(t, 2*time.Second, d.Interval)
	assert.EqualValues(t, -160, d.InUse)
	assert.EqualValues(t, 160, d.Cached)
	assert.Zero(t, d.Mapped)
	assert.EqualValues(t, 30, d.Underflows)
	assert.InDelta(t, 15, d.PerSecond(d.Underflows), 1e-9)
	assert.Equal(t, []ClassDelta{{ID: 2, Size: 16, Used: -10, LockWaits: 5}}, d.Classes, "only what changed")

	same, err := after.Since(after)
	require.NoError(t, err)
	assert.Zero(t, same.PerSecond(5), "nothing is counted in no time")

	_, err = before.Since(after)
	assert.ErrorContains(t, err, "order")
	b.Started++
	_, err = snapshot(t, b).Since(before)
	assert.ErrorContains(t, err, "new heap")
	b.PID++
	_, err = snapshot(t, b).Since(before)
	assert.ErrorContains(t, err, "two processes")
}

func TestSinceNeverCountsBackwards(t *testing.T) {
	b := sample(1)
	before := snapshot(t, b)
	b.Total.Overflows--
	d, err := snapshot(t, b).Since(before)
	require.NoError(t, err)
	assert.Zero(t, d.Overflows)
}
