package telemetry

import (
	"fmt"
	"math"
	"slices"

	"github.com/vcmalloc/vcmalloc/telemetry/block"
)

// Band is the spans with Least to Most live objects. At each snapshot, about one a second, Seen grew by how many
// there were; Gone by those that were returned to the page heap before the next. The paper's Fig. 5.13 shows the rate.
type Band struct {
	Least int    `json:"least_live"`
	Most  int    `json:"most_live"`
	Seen  uint64 `json:"seen"`
	Gone  uint64 `json:"returned"`
}

// Rate is the share of the spans seen that were returned before the next snapshot.
func (b Band) Rate() float64 {
	if b.Seen == 0 {
		return 0
	}
	return float64(b.Gone) / float64(b.Seen)
}

func (b Band) String() string {
	if b.Least == b.Most {
		return fmt.Sprint(b.Least)
	}
	return fmt.Sprintf("%d-%d", b.Least, b.Most)
}

func bands(r *block.Returns) (out []Band) {
	for i := range r.Seen {
		if r.Seen[i] > 0 {
			out = append(out, Band{Least: 1 << i, Most: 2<<i - 1, Seen: r.Seen[i], Gone: r.Gone[i]})
		}
	}
	return out
}

// ReturnBands are the bands of all size classes together.
func (s *Snapshot) ReturnBands() (out []Band) {
	for i := range s.Classes {
		for _, b := range s.Classes[i].Bands {
			at, found := slices.BinarySearchFunc(out, b.Least, func(o Band, least int) int { return o.Least - least })
			if !found {
				out = slices.Insert(out, at, Band{Least: b.Least, Most: b.Most})
			}
			out[at].Seen += b.Seen
			out[at].Gone += b.Gone
		}
	}
	return out
}

// ReturnRate is how many of the spans a class ever had were returned, or NaN if it had none: the paper's Fig. 5.16
// has it by the number of objects a span holds, which Capacity tells.
func (c *Class) ReturnRate() float64 { return float64(c.Returned) / float64(c.Fetched) }

// Capacity is how many objects a span of the class holds.
func (c *Class) Capacity() int {
	if c.Size == 0 {
		return 0
	}
	return int(c.SpanPages * 8192 / c.Size)
}

// fewSpans: the return rate of a class that had fewer is chance.
const fewSpans = 10

// ReturnCorrelation is Spearman's coefficient of Capacity and ReturnRate over the classes that had at least ten
// spans, and how many these are; NaN where it is not defined. The paper finds -0.75 (Fig. 5.16).
func (s *Snapshot) ReturnCorrelation() (rho float64, classes int) {
	var x, y []float64
	for i := range s.Classes {
		if c := &s.Classes[i]; c.Fetched >= fewSpans {
			x, y = append(x, float64(c.Capacity())), append(y, c.ReturnRate())
		}
	}
	return spearman(x, y), len(x)
}

// spearman is the correlation of ranks; equal values share the mean of their ranks.
func spearman(x, y []float64) float64 {
	a, b := ranks(x), ranks(y)
	mean := float64(len(x)+1) / 2
	var ab, aa, bb float64
	for i := range a {
		ab += (a[i] - mean) * (b[i] - mean)
		aa += (a[i] - mean) * (a[i] - mean)
		bb += (b[i] - mean) * (b[i] - mean)
	}
	return ab / math.Sqrt(aa*bb)
}

func ranks(x []float64) []float64 {
	order := make([]int, len(x))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int {
		switch {
		case x[i] < x[j]:
			return -1
		case x[i] > x[j]:
			return 1
		}
		return 0
	})
	out := make([]float64, len(x))
	for i := 0; i < len(order); {
		j := i
		for j < len(order) && x[order[j]] == x[order[i]] {
			j++
		}
		for _, k := range order[i:j] {
			out[k] = float64(i+j+1) / 2
		}
		i = j
	}
	return out
}
