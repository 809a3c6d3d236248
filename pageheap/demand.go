package pageheap

// demand remembers how much of something was in use over the last five minutes, to tell free memory that will be
// wanted again from memory that will not. It is a ring of slots, each with the least and the greatest value
// seen in it. The zero value has seen nothing. Guarded by Heap.mu.
type demand struct {
	ring  [slots]level
	now   level // since the current slot began
	last  uint32
	epoch int64 // number of the current slot; 0: no time is known yet
}

// level is what a slot saw: the least value, the greatest since that, the greatest of all.
type level struct{ low, since, high uint32 }

const (
	slotNanos = 5e9
	slots     = 60 // 300 s, the window in which a load that comes back is recognised
	recent    = 6  // slots, 30 s: what was in use then is kept
)

// note takes down that v is in use now.
func (d *demand) note(v uint32) {
	if v == d.last { // seen in this slot already: the last value begins it
		return
	}
	if v < d.now.low {
		d.now.low, d.now.since = v, v
	}
	d.now.since = max(d.now.since, v)
	d.now.high = max(d.now.high, v)
	d.last = v
}

// advance closes the slots that have ended at time now, in nanoseconds.
func (d *demand) advance(now int64) {
	epoch := now/slotNanos + 1
	if d.epoch == 0 || epoch < d.epoch { // the beginning, or a clock that went back: the past is unknown
		d.now, d.epoch = level{d.last, d.last, d.last}, epoch
		for i := range d.ring {
			d.ring[i] = d.now
		}
	}
	for n := min(epoch-d.epoch, slots); n > 0; n-- {
		d.ring[uint64(epoch-n)%slots] = d.now
		d.now = level{d.last, d.last, d.last}
	}
	d.epoch = epoch
}

// recently is the greatest value of the last 30 seconds.
func (d *demand) recently() uint32 {
	v := d.now.high
	for i := int64(1); i <= recent; i++ {
		v = max(v, d.ring[uint64(d.epoch-i)%slots].high)
	}
	return v
}

// recurring is the greatest value that demand fell away from and came back to within five minutes: what dips
// are likely to be over soon. A load that rose once and fell leaves none.
func (d *demand) recurring() uint32 {
	// At the bottom of a dip, the demand that came back is the smaller of the greatest before and after it: one
	// pass leaves the greatest before each slot, another, from the youngest on, has the greatest after it.
	var before [slots]uint32
	high := uint32(0)
	for i := range int64(slots) { // from the oldest
		before[i] = high
		high = max(high, d.ring[uint64(d.epoch+i)%slots].high)
	}
	most := d.now.cameBack(high, 0)
	after := d.now.high
	for i := int64(slots - 1); i >= 0; i-- {
		l := &d.ring[uint64(d.epoch+i)%slots]
		most = max(most, l.cameBack(before[i%slots], after))
		after = max(after, l.high)
	}
	return most
}

// cameBack is what demand came back to after the slot's least value, 0 if that was no dip.
func (l *level) cameBack(before, after uint32) uint32 {
	v := min(before, max(l.since, after))
	if v <= l.low {
		return 0
	}
	return v
}

// surplus is how much of free is not needed to meet demand for required, when used is in use.
func surplus(free, used, required uint32) uint32 {
	return free - min(free, required-min(required, used))
}
