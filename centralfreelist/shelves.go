package centralfreelist

import (
	"math/bits"
	"sync/atomic"

	"github.com/vcmalloc/vcmalloc/internal/span"
	"github.com/vcmalloc/vcmalloc/internal/units"
	"github.com/vcmalloc/vcmalloc/pageheap"
)

// Shelves: once several last-level cache domains are told apart (Divide), the spans of a class stand apart by the domain
// that their free objects came from, and a domain takes from its own first. What overflows its transfer cache comes
// back to it, instead of going to whoever asks next. Nobody is refused: who has no span with room takes from the
// fullest of the others', and a new span is made only when none of the class has room.
//
// A span has free objects of several domains once they have taken from it; it stands on the shelf of the one most of
// them came from (vote). The domain of the last free would move spans that two domains use to and fro, and each time
// one would get what the other freed.

// MaxDomains is how many domains can have shelves; they are numbered from 1. Those beyond share with others.
const MaxDomains = 64

// shelf is spans of one class and domain that have room, by occupancy.
type shelf struct {
	heads    [Sublists]units.SpanID
	nonempty uint8 // bit i: heads[i] != 0
}

// sure bounds a span's votes: after so many frees of other domains the span moves, whatever it was before.
const sure = 255

// shelfOf is where spans of class c stand whose free objects came from a domain. Those of unknown origin, and those for
// hinted objects, which are few, stand together in the list itself. Preconditions: l is the pool's list of class c.
func (t *Tier) shelfOf(l *list, pool uint32, c units.ClassID, origin uint32) *shelf {
	n := atomic.LoadUint32(&t.domains)
	if origin == 0 || n == 0 || pool >= pageheap.MaxNodes {
		return &l.shelf
	}
	return &t.row(pool, c, (origin-1)%n).shelf
}

// stockedBit is a domain's in list.stocked.
func (t *Tier) stockedBit(domain uint32) uint64 {
	n := atomic.LoadUint32(&t.domains)
	if domain == 0 || n == 0 {
		return 0
	}
	return 1 << ((domain - 1) % n)
}

// mark brings list.stocked up to date with a shelf. Preconditions: the list's lock is held.
func (t *Tier) mark(l *list, k *shelf, origin uint32) {
	if k == &l.shelf {
		return
	}
	bit, now := t.stockedBit(origin), l.stocked
	if k.nonempty != 0 {
		now |= bit
	} else {
		now &^= bit
	}
	if now != l.stocked {
		atomic.StoreUint64(&l.stocked, now)
	}
}

// HasOwn reports whether a pool has free objects of class c that came from a domain, without taking the lock.
func (t *Tier) HasOwn(pool uint32, c units.ClassID, domain uint32) bool {
	return atomic.LoadUint64(&t.on(pool)[c].stocked)&t.stockedBit(domain) != 0
}

// pick is the shelf from which a domain takes: its own, then that of unknown origin, then the one that has the fullest
// span; nil if there is no room. Preconditions: the list's lock is held.
func (t *Tier) pick(l *list, pool uint32, c units.ClassID, domain uint32, own bool) *shelf {
	if l.stocked&t.stockedBit(domain) != 0 {
		return t.shelfOf(l, pool, c, domain)
	}
	if own {
		return nil
	}
	if l.nonempty != 0 {
		return &l.shelf
	}
	var best *shelf
	fullest := uint32(Sublists)
	for m := l.stocked; m != 0; m &= m - 1 {
		k := t.shelfOf(l, pool, c, uint32(bits.TrailingZeros64(m))+1)
		if i := uint32(bits.TrailingZeros8(k.nonempty)); i < fullest {
			best, fullest = k, i
		}
	}
	return best
}

// vote counts n objects that a domain gave back to a span, and reports whether the span is now for that domain and was
// not before; its caller takes it from its shelf and sets Origin. It is the majority vote of Boyer and Moore.
func vote(s *span.Span, domain uint8, n int) (moves bool) {
	switch votes := int(s.Votes); {
	case s.Origin == domain:
		s.Votes = uint8(min(votes+n, sure))
	case n <= votes:
		s.Votes = uint8(votes - n)
	default:
		s.Votes = uint8(min(n-votes, sure))
		return true
	}
	return false
}
