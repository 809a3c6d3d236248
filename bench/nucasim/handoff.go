package nucasim

import (
	"math/bits"
	"math/rand/v2"

	"github.com/vcmalloc/vcmalloc/bench/fleet"
)

const (
	producers, consumers = 4, 4
	queued               = 4096 // objects between them, about
)

// handOff is a service in which some threads only allocate and others only free, in bursts of up to a queue's length.
// Sizes are 16 B to 8 KiB, each power of two half as likely as the one below.
func handOff(n int, seed uint64) *fleet.Trace {
	rng := rand.New(rand.NewPCG(seed, 0x68))
	t := &fleet.Trace{Threads: producers + consumers}
	var queue []uint32
	var spare []uint32
	for i := range n {
		slot := t.Slots
		if len(spare) > 0 {
			slot, spare = spare[len(spare)-1], spare[:len(spare)-1]
		} else {
			t.Slots++
		}
		base := uint64(16) << bits.TrailingZeros64(rng.Uint64()|1<<9)
		t.Events = append(t.Events, fleet.Event{Size: base + rng.Uint64N(base), Slot: slot, Thread: uint16(i % producers), Op: fleet.Alloc})
		queue = append(queue, slot)
		if len(queue) < queued {
			continue
		}
		// One consumer empties part of the queue.
		k := 1 + rng.IntN(len(queue))
		consumer := uint16(producers + rng.IntN(consumers))
		for _, s := range queue[:k] {
			t.Events = append(t.Events, fleet.Event{Slot: s, Thread: consumer, Op: fleet.Free})
		}
		spare = append(spare, queue[:k]...)
		queue = append(queue[:0], queue[k:]...)
	}
	return t
}
