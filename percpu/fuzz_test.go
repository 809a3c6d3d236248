package percpu

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vcmalloc/vcmalloc/internal/coretest"
	"github.com/vcmalloc/vcmalloc/internal/sizeclass"
	"github.com/vcmalloc/vcmalloc/internal/units"
	"github.com/vcmalloc/vcmalloc/pageheap"
)

// model is a cache of three vCPUs beside what is known of it: who has which object. Operations are three bytes: what,
// where, and how much.
type model struct {
	t     testing.TB
	k     *Cache
	held  [sizeclass.NumClasses][]uintptr
	owned map[uintptr]bool
	bytes int // in hand
	ops   [numOps]int
}

const (
	modelVCPUs = 3
	modelBytes = 4 << 20 // most that is in hand
)

const (
	opAlloc = iota
	opFree
	opFreeOldest
	opDrain
	opDrainIdle
	opBalance
	opMove
	opOutgrow
	opRelayout
	opShrink
	opPlunder
	numOps
)

func newModel(t testing.TB, limit units.Bytes, p Policy, room uintptr) *model {
	m := &model{t: t, k: new(Cache), owned: map[uintptr]bool{}}
	pages := &m.k.Transfer.Central.Pages
	require.True(t, pages.Init(pageheap.Options{Seed: 1, MaxBytes: room}), "no window")
	t.Cleanup(pages.Unmap)
	require.True(t, m.k.Init(Options{VCPUs: modelVCPUs, Limit: limit, Policy: p}))
	return m
}

// step decodes and does one operation. Most are allocations and frees of up to some hundred objects, of one of the
// smaller classes three times out of four.
func (m *model) step(what, where, n byte) {
	k, v := m.k, units.VCPU(where%modelVCPUs)
	in := k.info(v)
	if in.slab == 0 && what%2 == 0 && !k.populate(v) {
		return // short of memory; without a slab the operations do what there is to do
	}
	c := units.ClassID(1 + int(where/modelVCPUs)%(sizeclass.NumClasses-1))
	op := opAlloc
	switch what = what % 64; {
	case what < 26:
	case what < 44:
		op = opFree
	case what < 52:
		op = opFreeOldest
	default:
		op = opDrain + int(what-52)%(numOps-opDrain)
	}
	m.ops[op]++
	count := 1 + int(n)
	switch op {
	case opAlloc:
		m.alloc(v, c, count)
	case opFree, opFreeOldest:
		m.free(v, c, count, op == opFreeOldest)
	case opDrain:
		populated := in.slab != 0
		require.Equal(m.t, populated, k.Drain(v))
	case opDrainIdle:
		for range 1 + n%(idleLooks+1) {
			k.DrainIdle()
		}
	case opBalance:
		in.refused += int64(n) << 14 // as if it had missed so much
		k.Balance()
	case opMove:
		if in.capacity > 0 {
			to := units.VCPU((where + 1 + n%2) % modelVCPUs)
			if k.info(to).capacity > 0 {
				k.carry(&move{v, to, in.capacity * int64(n) / 512})
			}
		}
	case opOutgrow:
		k.outgrow(v, in, c, uint32(n)<<(n%8))
	case opRelayout:
		m.relayout(v, in, c, uint32(n)<<(n%8))
	case opShrink:
		k.shrink(v, in)
	case opPlunder:
		k.Transfer.Plunder()
	}
}

func (m *model) alloc(v units.VCPU, c units.ClassID, n int) {
	for ; n > 0 && m.bytes+int(sizeclass.Size(c)) <= modelBytes; n-- {
		p := m.k.allocOn(v, c)
		if p == 0 {
			return
		}
		if m.owned[p] || m.k.Transfer.Central.Pages.ClassAt(p) != c || m.k.Holds(c, p) {
			require.Failf(m.t, "not for class", "%d: %#x; in hand: %t, still in a cache: %t", c, p, m.owned[p], m.k.Holds(c, p))
		}
		m.owned[p] = true
		m.bytes += int(sizeclass.Size(c))
		m.held[c] = append(m.held[c], p)
	}
}

func (m *model) free(v units.VCPU, c units.ClassID, n int, oldest bool) {
	for ; n > 0 && len(m.held[c]) > 0; n-- {
		i := len(m.held[c]) - 1
		if oldest {
			i = 0
		}
		p := m.held[c][i]
		m.held[c] = append(m.held[c][:i], m.held[c][i+1:]...)
		delete(m.owned, p)
		m.bytes -= int(sizeclass.Size(c))
		require.Zero(m.t, m.k.freeOn(v, c, p))
	}
}

// relayout makes a layout in which class c has n slots more than it needs. What the slab holds stays as it is.
func (m *model) relayout(v units.VCPU, in *info, c units.ClassID, n uint32) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.slab == 0 {
		return
	}
	objects, need := contents(slab(in.slab))
	before := need
	need[c] += n
	m.k.relayout(v, in, &need, 0)
	after, capacities := contents(slab(in.slab))
	require.Equal(m.t, objects, after)
	require.Equal(m.t, before, capacities)
}

func (m *model) check() {
	var held [sizeclass.NumClasses]int
	for c := range m.held {
		held[c] = len(m.held[c])
	}
	check(m.t, m.k, &held)
}

// finish gives everything back.
func (m *model) finish() {
	m.check()
	for c := range m.held {
		m.free(0, units.ClassID(c), len(m.held[c]), false)
	}
	m.check()
	empty(m.t, m.k)
}

// newModelOf takes what a model is like from one byte: the policy, whether the budget is small, and whether memory is.
func newModelOf(t testing.TB, like byte) *model {
	limit, room := units.Bytes(0), uintptr(0)
	if like&4 != 0 {
		limit = units.MaxSmall
	}
	if like&8 != 0 {
		room = 6 << 20
	}
	return newModel(t, limit, Policy(like%3), room)
}

func TestRandomOperationsKeepTheInvariants(t *testing.T) {
	r := coretest.Rand(t)
	var ops [numOps]int
	for like := range byte(16) {
		m := newModelOf(t, like)
		for i := range coretest.Long(1500) {
			x := r.Uint32()
			where := byte(x >> 8)
			if r.IntN(2) == 0 {
				where %= 24 // the same few classes: so that they fill up and run dry
			}
			m.step(byte(x), where, byte(x>>16))
			if i%50 == 0 {
				m.check()
			}
		}
		m.finish()
		for o, n := range m.ops {
			ops[o] += n
		}
	}
	for o, n := range ops {
		require.Positive(t, n, "operation %d", o)
	}
}

func FuzzOperations(f *testing.F) {
	f.Add([]byte{0, 3, 200, 30, 3, 100, 56, 3, 9, 57, 0, 0}, byte(0))
	f.Add([]byte("a longer list of operations, three bytes each, decoded by model.step"), byte(4))
	r := rand.New(rand.NewPCG(1, 2))
	for like := range byte(16) {
		ops := make([]byte, 300)
		for i := range ops {
			ops[i] = byte(r.Uint32())
		}
		f.Add(ops, like)
	}
	f.Fuzz(func(t *testing.T, ops []byte, like byte) {
		if len(ops) > 1200 {
			return
		}
		m := newModelOf(t, like)
		for i := 0; len(ops) >= 3; i, ops = i+1, ops[3:] {
			m.step(ops[0], ops[1], ops[2])
			if i%8 == 0 {
				m.check()
			}
		}
		m.finish()
	})
}
