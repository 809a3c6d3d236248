package main

import (
	"fmt"
	"math/bits"
)

const (
	pageSize  = 8192    // bytes; units.PageSize
	maxSmall  = 1 << 18 // bytes; units.MaxSmall
	maxPages  = 32      // pages per span: one object of 256 KiB
	fineMax   = 1024    // bytes: at most this, sizes are multiples of 16 and spans are one page
	fewObject = 16      // objects: the lifetime filler's bound (paper 5.4.4); more need a one-page span
	metadata  = 64      // bytes of span metadata, one cache line

	// maxTail bounds what a span loses behind its last object: 1/16 of the span.
	maxTail = 1.0 / 16

	// pageCharge makes a span pay for each page it has beyond those of one object, as a share of the
	// span: the more objects a span holds, the less likely all are free at once (paper 5.4.3, 5.4.4).
	// 0.5 % makes up for the metadata saved (64 B are 0.8 % of a page), so that powers of two keep to the
	// smallest span, and costs 0.15 points of expected waste against 0.2 %, which takes up to 17 pages.
	pageCharge = 0.005

	// recipShift is the shift of the reciprocal. 34 is the largest that keeps ceil(2^34/8) in 32 bits.
	recipShift = 34
)

// class is one size class as the allocator will see it.
type class struct {
	size, pages, objects, batch int
	recip, divMul, divMax       uint32
}

func (c class) span() int { return c.pages * pageSize }
func (c class) tail() int { return c.span() - c.objects*c.size }

// footprint is what one object costs with its part of the tail and of the metadata, in bytes.
func (c class) footprint() float64 { return float64(c.span()+metadata) / float64(c.objects) }

// charged is footprint with the charge for long spans: what the choice minimises.
func (c class) charged() float64 {
	least := (c.size + pageSize - 1) / pageSize
	return c.footprint() * (1 + pageCharge*float64(c.pages-least))
}

// classOf gives size its span: the page count that minimises charged. It reports whether the size is
// admissible, that is whether the tail is within maxTail.
func classOf(size int) (class, bool) {
	var best class
	for pages := 1; pages <= maxPages; pages++ {
		c := class{size: size, pages: pages, objects: pages * pageSize / size}
		if c.objects == 0 || pages > 1 && (size <= fineMax || c.objects > fewObject) {
			continue
		}
		if best.pages == 0 || c.charged() < best.charged() {
			best = c
		}
	}
	best.batch = min(max(64<<10/size, 2), 32)
	return best, float64(best.tail()) <= maxTail*float64(best.span())
}

// addMagic computes the multipliers and proves them on every offset of the span.
//
// The reciprocal is ceil(2^34/size); a span of one object needs none, its index is always 0.
//
// The test for the start of an object: write size as odd<<k. Let m satisfy m*odd = 1 + a<<(32-k) with a
// odd. Then off*m mod 2^32 has, for off = q*size + r, the value q<<k when r == 0 and at least 2^32/size
// otherwise, as long as the span is shorter than 2^(32-k). Comparing with (objects-1)<<k therefore
// rejects interior offsets and, at no cost, the offset just behind the last object, where a tail begins.
// (The more usual ceil(2^32/size) is not exact for the larger sizes: its error exceeds 1/size.) A span
// of one object has one start, 0: multiplier 1, bound 0.
func (c *class) addMagic() error {
	c.divMul, c.divMax, c.recip = 1, 0, 0
	if c.objects > 1 {
		k := bits.TrailingZeros(uint(c.size))
		odd := uint64(c.size >> k)
		modulus := uint64(1) << (32 - k)
		m := uint64(1) // Newton: each step doubles the number of correct low bits
		for range 6 {
			m *= 2 - odd*m
		}
		m %= modulus
		for (m*odd-1)/modulus%2 == 0 {
			m += modulus
		}
		if m >= 1<<32 {
			return fmt.Errorf("size %d: multiplier %d does not fit 32 bits", c.size, m)
		}
		c.divMul, c.divMax = uint32(m), uint32(c.objects-1)<<k
		c.recip = uint32((1<<recipShift + uint64(c.size) - 1) / uint64(c.size))
	}
	for off := range c.span() {
		if got := int(uint64(off) * uint64(c.recip) >> recipShift); got != off/c.size {
			return fmt.Errorf("size %d: index of offset %d is %d", c.size, off, got)
		}
		start := off%c.size == 0 && off/c.size < c.objects
		if (uint32(off)*c.divMul <= c.divMax) != start {
			return fmt.Errorf("size %d: wrong start test at offset %d", c.size, off)
		}
	}
	return nil
}
