package centralfreelist

import (
	"math/bits"

	"github.com/vcmalloc/vcmalloc/internal/sizeclass"
	"github.com/vcmalloc/vcmalloc/internal/span"
	"github.com/vcmalloc/vcmalloc/internal/units"
)

// Bands is how many ranges of live objects are told apart: band b holds spans with 2^b to 2^(b+1)-1, and no span
// has more than 1024 objects.
const Bands = 11

const (
	bandRoom = 16   // a power of two: the index is masked, not checked
	noBand   = 0xff // of a span that came after the last snapshot
)

// Paper Fig. 5.13: how likely a span is returned, by how many of its objects live. Snapshot begins an epoch and
// counts the spans in each band at that moment; a span that is returned counts for the band it was in when the
// epoch began. Nobody has to look at the spans for that: those in each band are counted as they change, and a
// span remembers its band at its first change in an epoch.

func band(allocated uint16) uint8 { return uint8(bits.Len16(allocated)-1) % bandRoom }

// changed counts a span that had before objects out, which were some, and has Allocated now.
func (l *list) changed(s *span.Span, before uint16) {
	from := band(before)
	if s.Epoch != l.epoch {
		s.Epoch, s.Band = l.epoch, from
	}
	if s.Allocated == 0 {
		l.now[from]--
		if s.Band != noBand {
			l.gone[s.Band%bandRoom]++
		}
		return
	}
	if to := band(s.Allocated); to != from {
		l.now[from]--
		l.now[to]++
	}
}

// arrived counts a new span.
func (l *list) arrived(s *span.Span) {
	s.Epoch, s.Band = l.epoch, noBand
	l.now[band(s.Allocated)]++
}

// Snapshot begins an epoch of the count of returned spans, in all classes.
func (t *Tier) Snapshot() {
	for i := range uint32(pools) {
		if !t.open(i) {
			continue
		}
		lists := t.on(i)
		for c := range lists {
			l := &lists[c]
			if l.fetched == 0 { // racy by intent: a new class waits for the next snapshot
				continue
			}
			l.mu.Lock()
			l.epoch++
			for b, n := range l.now {
				l.seen[b] += uint64(n)
			}
			l.mu.Unlock()
		}
	}
}

// Stats of one class, in objects and spans.
type Stats struct {
	Spans, Contended  uint32
	Free, Capacity    uint64
	Fetched, Returned uint64
	Reused            uint64 // objects handed out again that a known domain freed, as far as their span tells
	Crossed           uint64 // of these, freed in another domain than they were handed to
	Forced            uint64 // objects that had to cross, at least, here and in the caches above (balance.go)
}

// Stats reads the counters of class c at one moment; of several pools, one after another, their sums.
func (t *Tier) Stats(c units.ClassID, out *Stats) {
	t.StatsOn(0, c, out)
	out.Forced = t.forced(c)
	for i := uint32(1); i < pools; i++ {
		if t.open(i) {
			var k Stats
			t.StatsOn(i, c, &k)
			out.add(&k)
		}
	}
}

// StatsOn is Stats of one pool. Preconditions: it exists.
func (t *Tier) StatsOn(pool uint32, c units.ClassID, out *Stats) {
	l := &t.on(pool)[c]
	l.mu.Lock()
	*out = Stats{Spans: l.spans, Free: l.free, Capacity: uint64(l.spans) * uint64(sizeclass.Of(c).Objects),
		Contended: l.mu.Contended(), Fetched: l.fetched, Returned: l.returned, Reused: l.reused, Crossed: l.crossed}
	l.mu.Unlock()
}

// Returns is how often a span of each band was seen at a snapshot, and how many of these were returned before
// the next: their quotient is the return rate.
type Returns struct{ Seen, Gone [Bands]uint64 }

// Returns reads the return rates of class c, summed like Stats.
func (t *Tier) Returns(c units.ClassID, out *Returns) {
	*out = Returns{}
	for i := range uint32(pools) {
		if !t.open(i) {
			continue
		}
		l := &t.on(i)[c]
		l.mu.Lock()
		for b := range out.Seen {
			out.Seen[b] += l.seen[b]
			out.Gone[b] += l.gone[b]
		}
		l.mu.Unlock()
	}
}
