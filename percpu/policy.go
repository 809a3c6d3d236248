package percpu

// The adaptive part: how a class's capacity follows its misses. Pure functions over plain numbers.

// history is what is remembered of a class's misses: whether the last was an overflow and how many of the same
// kind came before it in a row.
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

// target is how many objects a miss should move, the one that missed included: about half the capacity, but
// from a single batch upwards only as misses of the same kind repeat.
func target(h history, capacity, batch uint32) uint32 {
	if capacity <= 1 && h.successive() < 3 {
		return 1
	}
	return max(min((capacity+1)/2+1, batch<<h.successive()), 1)
}
