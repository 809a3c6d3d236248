package percpu

import "github.com/vcmalloc/vcmalloc/internal/units"

// The adaptive part: how a class's capacity follows its misses. Pure functions over plain numbers.

// history is what is remembered of a class's misses: whether the last was an overflow and how many of the same
// kind came before it in a row.
type history uint8

const (
	historyOverflow history = 1 << 7
	successiveMask  history = 0x7f
	maxSuccessive           = 10 // batch << 10 is beyond any capacity
)

func (h history) wasOverflow() bool  { return h&historyOverflow != 0 }
func (h history) successive() uint32 { return uint32(h & successiveMask) }

// after is the history when one more event has happened.
func (h history) after(overflow bool) history {
	if h.wasOverflow() != overflow {
		h = 0
		if overflow {
			h = historyOverflow
		}
		return h
	}
	if h.successive() < maxSuccessive {
		h++
	}
	return h
}

const (
	// streamSuccessive underflows in a row are a program that builds something: larger batches serve it
	// better than the two that a class otherwise may have unless misses alternate.
	streamSuccessive = 4
	// streamBytes bounds what a class may hold for that reason alone: half of what one batch of the largest
	// class has.
	streamBytes = 32 << 10
)

// growth is by how many objects of size bytes a class of the given capacity should grow on a miss.
//
// An underflow after overflows proves that a longer list would have absorbed both: by the objects spilled in that
// run of overflows (0: unknown), of which at least a batch is believed, and no more than would double the list.
// Up to two batches a class grows a little at every miss, so that one batch in and one out leave it half full.
func growth(h history, overflow bool, capacity, batch, spilled, size uint32) uint32 {
	switch {
	case !overflow && h.wasOverflow():
		return max(batch, min(spilled, capacity))
	case !overflow && capacity < batch:
		return batch - capacity
	case capacity < 2*batch:
		return 1
	case !overflow && h.successive() >= streamSuccessive && (capacity+batch)*size <= streamBytes:
		return batch
	}
	return 0
}

// target is how many objects a miss should move, the one that missed included: a quarter of the capacity at the first
// miss of a kind, half of it at the next ones in a row, and no more than a batch, but twice that for each in a row. A load
// that stays as it is comes back from its extremes by itself, and who moves half at once meets the other end. Of 1000
// mallocs of 10,000 mixed sizes 0.99 miss with half, and move 10 objects; 0.69 and 5 with a quarter, 0.61 and 3 with an
// eighth that doubles up to half (TestMissesOfMixedLoads). A key-value store whose blocks come and go whole has 4 % more misses
// with a quarter, and 11 % more with an eighth.
func target(h history, capacity, batch uint32) uint32 {
	if capacity <= 1 && h.successive() < 3 {
		return 1
	}
	part := (capacity + 1) / 2
	if h.successive() == 0 {
		part = (capacity + 3) / 4
	}
	return max(min(part+1, batch<<h.successive()), 1)
}

// How a spent budget is shared out among a vCPU's classes. What a class holds wanders up and down as objects come
// and go, and a wanderer that may go twice as far comes to an end a quarter as often. So a byte is worth most where
// misses are most frequent for the bytes a class has: the sum of all misses is least when the gap between a class's
// misses, times its bytes, is the same for all. A class that misses takes from those for which that product (their
// ease) is higher by easeRatio, a share of their capacity at a time: most differences below that are chance, and
// taking back and forth costs misses itself. (TestMissesOfMixedLoads has the loads on which the constants were
// chosen; of ratios 1 to 8 and shares of 4 to 16 the misses differ by a third. Robbing whoever had not missed among
// the last 32 misses made five times as many.)
const (
	easeRatio = 4
	cutShare  = 8
	// gapUnit is the resolution of a gap, and gapSmooth of how many gaps it is the average.
	gapUnit   = 16
	gapSmooth = 8
	maxGap    = 1 << 20
)

// smoothGap is the average gap between a class's misses, once another of now misses of its vCPU was seen. 0: unknown.
func smoothGap(gap, now uint32) uint32 {
	now = min(now, maxGap) * gapUnit
	if gap == 0 {
		return now
	}
	return gap - gap/gapSmooth + now/gapSmooth
}

// ease is how much a class has for how often it misses: its average gap, or the one since its last miss if that is
// longer, times its bytes.
func ease(gap, since uint32, bytes units.Bytes) uint64 {
	return uint64(max(gap, min(since, maxGap)*gapUnit)) * uint64(bytes)
}

// easier reports whether a class may lose capacity to another of less ease.
func easier(other, than uint64) bool { return other >= than*easeRatio }
