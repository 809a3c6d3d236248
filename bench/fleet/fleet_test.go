package fleet

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSizesFollowFig57(t *testing.T) {
	tr := Synthesise(200000, 1)
	var objects, bytes, smallObjects, small, above8k, above256k float64
	for _, e := range tr.Events {
		if e.Op != Alloc {
			continue
		}
		n := float64(e.Size)
		objects++
		bytes += n
		switch {
		case e.Size <= smallMax:
			smallObjects++
			small += n
		case e.Size > largeMax:
			above256k += n
			above8k += n
		case e.Size > mediumMax:
			above8k += n
		}
	}
	assert.InDelta(t, 0.98, smallObjects/objects, 0.002)
	assert.InDelta(t, 0.28, small/bytes, 0.03)
	assert.InDelta(t, 0.50, above8k/bytes, 0.04)
	assert.InDelta(t, 0.22, above256k/bytes, 0.05)
}

func TestLifetimesFollowFig58(t *testing.T) {
	tr := Synthesise(200000, 1)
	// Simulated time is the number of allocations before.
	born := map[uint32]int{}
	size := map[uint32]uint64{}
	allocs, short, small, kept := 0, 0, 0, 0
	for _, e := range tr.Events {
		if e.Op == Alloc {
			born[e.Slot], size[e.Slot] = allocs, e.Size
			allocs++
			if e.Size <= smallMax {
				small++
			}
			continue
		}
		if size[e.Slot] <= smallMax && float64(allocs-born[e.Slot])/allocsPerSecond < shortSeconds {
			short++
		}
		delete(born, e.Slot)
	}
	kept = len(born)
	assert.InDelta(t, 0.46, float64(short)/float64(small), 0.02)
	assert.Greater(t, kept, allocs/20, "some live to the end")
}

func TestATraceIsSound(t *testing.T) {
	for name, make := range map[string]func() *Trace{
		"steady": func() *Trace { return Synthesise(50000, 7) }, "settled": func() *Trace { return Settled(50000, 5, 7) },
	} {
		t.Run(name, func(t *testing.T) { sound(t, make) })
	}
}

func sound(t *testing.T, make func() *Trace) {
	tr := make()
	live := map[uint32]bool{}
	seen := map[uint16]bool{}
	for _, e := range tr.Events {
		require.Less(t, e.Slot, tr.Slots)
		require.Less(t, uint32(e.Thread), tr.Threads)
		require.Equal(t, e.Op == Free, live[e.Slot])
		live[e.Slot] = e.Op == Alloc
		seen[e.Thread] = true
	}
	assert.Greater(t, len(seen), aliveThreads, "threads come and go")
	assert.Equal(t, tr, make(), "the same seed, the same trace")
}

// From its third day on, what lives at the same hour is the same from day to day, and swings with the load.
func TestASettledTraceSwingsAndDoesNotGrow(t *testing.T) {
	const days, hours = 8, 24
	tr := Settled(800000, days, 3)
	var at [days * hours]float64 // live bytes of small objects
	size := map[uint32]uint64{}
	live := 0.0
	run := 800000 / (allocsPerSecond * (1 + leastLoad) / 2)
	now := 0.0
	for _, e := range tr.Events {
		if e.Op == Free {
			live -= float64(size[e.Slot])
			continue
		}
		size[e.Slot] = 0
		if e.Size <= smallMax {
			size[e.Slot] = e.Size
			live += float64(e.Size)
		}
		at[min(int(now/run*days*hours), days*hours-1)] = live
		now += 1 / (allocsPerSecond * settledLoad(now, run/days))
	}
	require.InDelta(t, run, now, run/100)
	for day := 3; day < days; day++ {
		least, most := at[day*hours], at[day*hours]
		for _, v := range at[day*hours : (day+1)*hours] {
			least, most = min(least, v), max(most, v)
		}
		assert.Greater(t, most, 1.2*least, "day %d", day)
		assert.InEpsilon(t, at[3*hours], at[day*hours], 0.15, "day %d", day)
	}
}

func TestConvertSortsAndNumbers(t *testing.T) {
	var b bytes.Buffer
	put := func(when, pointer, size uint64, thread uint32, op Op) {
		require.NoError(t, binary.Write(&b, binary.LittleEndian, &raw{When: when, Pointer: pointer, Size: size, Thread: thread, Op: op}))
	}
	put(30, 0x1000, 0, 7, Free) // thread 7 wrote its block first
	put(40, 0x2000, 0, 7, Free)
	put(10, 0x1000, 64, 3, Alloc)
	put(30, 0x1000, 128, 3, Alloc) // at the same nanosecond as the free
	put(5, 0x9000, 0, 3, Free)     // allocated before the recording
	tr, err := Convert(&b)
	require.NoError(t, err)
	assert.Equal(t, []Event{
		{Size: 64, Slot: 0, Thread: 0, Op: Alloc},
		{Slot: 0, Thread: 1, Op: Free},
		{Size: 128, Slot: 1, Thread: 0, Op: Alloc},
	}, tr.Events)
	assert.EqualValues(t, 2, tr.Threads)
	assert.EqualValues(t, 2, tr.Slots)
}

func TestConvertRefusesNonsense(t *testing.T) {
	_, err := Convert(bytes.NewReader(make([]byte, rawBytes-1)))
	assert.ErrorContains(t, err, "cut short")
}

func TestTraceLayout(t *testing.T) {
	var b bytes.Buffer
	tr := &Trace{Events: []Event{{Size: 1, Slot: 2, Thread: 3, Op: Alloc, Align: 5}}, Slots: 3, Threads: 4}
	require.NoError(t, tr.Write(&b))
	assert.Equal(t, "VCTRACE1\x01\x00\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x04\x00\x00\x00"+
		"\x01\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x03\x00\x01\x05", b.String())
}
