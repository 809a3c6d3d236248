package span

import (
	"github.com/vcmalloc/vcmalloc/internal/sys"
	"github.com/vcmalloc/vcmalloc/internal/units"
	"github.com/vcmalloc/vcmalloc/internal/vm"
)

// Table is a heap's spans, indexed by SpanID. Ids are reused, last freed first.
type Table struct {
	mu    sys.SpanLock
	spans vm.Table
	made  units.SpanID // ids [1, made] exist
	free  units.SpanID // head of the list of unused ids, linked by Span.Next
	live  uint32
}

const spanShift = 6

// Init chooses the table's addresses.
func (t *Table) Init(s *vm.Space) {
	t.spans = s.NewTable((uintptr(s.MaxPages()) + 1) << spanShift)
}

// New returns an id whose Span the caller must Init; 0 when the system has no memory for it. spaceMu
// guards s, which grows when the table does.
func (t *Table) New(s *vm.Space, spaceMu *sys.GrowLock) units.SpanID {
	var id [1]units.SpanID
	t.NewAll(s, spaceMu, id[:])
	return id[0]
}

// NewAll is New for several, under one acquisition of the lock, and returns how many of ids it filled in.
func (t *Table) NewAll(s *vm.Space, spaceMu *sys.GrowLock, ids []units.SpanID) (n int) {
	t.mu.Lock()
	for ; n < len(ids); n++ {
		id := t.free
		if id != 0 {
			t.free = t.At(id).Next
		} else {
			need := uintptr(t.made+2) << spanShift
			if need > t.spans.Mapped() {
				spaceMu.Lock()
				ok := t.spans.Ensure(s, need)
				spaceMu.Unlock()
				if !ok {
					break
				}
			}
			t.made++
			id = t.made
		}
		ids[n] = id
	}
	t.live += uint32(n)
	t.mu.Unlock()
	return n
}

// Delete returns id for reuse.
func (t *Table) Delete(id units.SpanID) {
	t.mu.Lock()
	*t.At(id) = Span{Next: t.free}
	t.free = id
	t.live--
	t.mu.Unlock()
}

// DeleteAll is Delete for several, under one acquisition of the lock.
func (t *Table) DeleteAll(ids []units.SpanID) {
	t.mu.Lock()
	for _, id := range ids {
		*t.At(id) = Span{Next: t.free}
		t.free = id
	}
	t.live -= uint32(len(ids))
	t.mu.Unlock()
}

// At is the span of id. Preconditions: id came from New.
func (t *Table) At(id units.SpanID) *Span {
	return (*Span)(sys.At(t.spans.Base() + uintptr(id)<<spanShift))
}

// Borrow lets t read the spans of o, by At and Base; New and Delete remain o's. Preconditions: o does not grow meanwhile.
func (t *Table) Borrow(o *Table) { t.spans = o.spans }

// Live is how many spans exist, Made the largest id ever used.
func (t *Table) Live() uint32       { return t.live }
func (t *Table) Made() units.SpanID { return t.made }

// Base is the table's address, for fast paths written in assembly.
func (t *Table) Base() uintptr { return t.spans.Base() }
