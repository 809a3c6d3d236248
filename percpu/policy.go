package percpu

// The adaptive part: how a class's capacity follows its misses. Pure functions over plain numbers.

// event is one miss of a class, and what is remembered of the last: whether it was an overflow and how many
// of the same kind came in a row.
type history uint32

const (
	historyOverflow history = 1 << 31
	successiveMask  history = 0xffff
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

// growth is by how many objects a class of capacity (of at most limit) should grow on a miss. Alternating
// underflows and overflows prove that a list one batch larger would have absorbed both. Up to two batches a
// class grows a little at every miss, so that one batch in and one out leave it half full.
func growth(h history, overflow bool, capacity, limit, batch uint32) uint32 {
	if capacity >= limit {
		return 0
	}
	room := limit - capacity
	switch {
	case !overflow && h.wasOverflow():
		return min(batch, room)
	case capacity >= 2*batch:
		return 0
	case !overflow && capacity < batch:
		return min(batch-capacity, room)
	default:
		return 1
	}
}

// target is how many objects a miss should move, the one that missed included: about half the capacity, but
// from a single batch upwards only as misses of the same kind repeat.
func target(h history, capacity, batch uint32) uint32 {
	if capacity <= 1 && h.successive() < 3 {
		return 1
	}
	return max(min((capacity+1)/2+1, batch<<h.successive()), 1)
}
