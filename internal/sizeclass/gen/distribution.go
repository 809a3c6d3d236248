package main

import "math"

// band is one part of the request-size distribution: the sizes lo..hi together ask for share of all
// bytes that the fleet allocates.
type band struct {
	lo, hi   int     // bytes, both inclusive
	share    float64 // of all bytes, objects above 256 KiB included
	exponent float64 // bytes asked for per octave grow as size^exponent; 0 is the same in every octave
}

// The bands are figure 5.7 of the paper: below 1 KiB 28 % of bytes, above 8 KiB 50 %, above 256 KiB
// 22 %; hence 22 % between 1 and 8 KiB and 28 % between 8 and 256 KiB. The last 22 % are served in whole
// pages and no size class can help them. The figure does not say how bytes spread inside a band: they
// are taken as equal in every octave, except below 1 KiB, where the exponent is solved so that 98 % of
// all objects are there.
var bands = []band{
	{lo: 8, hi: 1023, share: 0.28},
	{lo: 1024, hi: 8192, share: 0.22},
	{lo: 8193, hi: maxSmall, share: 0.28},
}

const (
	smallObjectShare = 0.98 // of all objects: those below 1 KiB (figure 5.7)
	largeBytesShare  = 0.22 // of all bytes: objects above 256 KiB
	largeMeanBytes   = 1 << 20

	// What people ask for inside a band is not smooth. These shares are our judgement, not the paper's:
	// buffers are powers of two, or a power of two with a header of up to 64 bytes, or whole 4 KiB
	// system pages; structures and slices are multiples of 8; strings are anything. Moving any one of them
	// by half of itself moves the expected waste of the table then chosen by at most 0.6 points, and in
	// no case does 8 per octave, with 97 classes, do better than our 87.
	powerShare  = 0.20 // of a band's bytes: exactly a power of two
	headerShare = 0.05 // a power of two plus 1..64 bytes
	systemShare = 0.10 // multiples of 4 KiB, above 4 KiB only
	wordShare   = 0.75 // of the rest: multiples of 8; the remainder is any size
)

// demand is the distribution summed up: for every size s, how many objects of at most s bytes are asked
// for and how many bytes they ask for, per byte allocated by the fleet.
type demand struct {
	count, bytes [maxSmall + 1]float64
}

// between is the objects and bytes asked for by requests of more than lo and at most hi bytes.
func (d *demand) between(lo, hi int) (count, bytes float64) {
	return d.count[hi] - d.count[lo], d.bytes[hi] - d.bytes[lo]
}

// paperDemand is the distribution described above.
func paperDemand() *demand {
	weight := make([]float64, maxSmall+1)
	for _, b := range bands[1:] {
		b.spread(weight)
	}
	others := largeBytesShare / largeMeanBytes
	for s, w := range weight {
		if s > 0 {
			others += w / float64(s)
		}
	}
	// More weight on larger sizes means fewer objects: bisect for 98 %.
	target := others * smallObjectShare / (1 - smallObjectShare)
	small := bands[0]
	low, high := -3.0, 3.0
	part := make([]float64, maxSmall+1)
	for range 60 {
		small.exponent = (low + high) / 2
		clear(part)
		small.spread(part)
		objects := 0.0
		for s := small.lo; s <= small.hi; s++ {
			objects += part[s] / float64(s)
		}
		if objects > target {
			low = small.exponent
		} else {
			high = small.exponent
		}
	}
	d := new(demand)
	for s := 1; s <= maxSmall; s++ {
		w := weight[s] + part[s]
		d.count[s] = d.count[s-1] + w/float64(s)
		d.bytes[s] = d.bytes[s-1] + w
	}
	return d
}

// spread adds the bytes asked for at each size of b to weight.
func (b band) spread(weight []float64) {
	rest := b.share
	add := func(share float64, density func(s int) float64) {
		total := 0.0
		for s := b.lo; s <= b.hi; s++ {
			total += density(s)
		}
		if total == 0 {
			return
		}
		rest -= b.share * share
		for s := b.lo; s <= b.hi; s++ {
			weight[s] += b.share * share * density(s) / total
		}
	}
	smooth := func(s int) float64 { return math.Pow(float64(s), b.exponent-1) }
	perOctave := func(s int) float64 { return math.Pow(float64(s), b.exponent) } // s*smooth(s)
	add(powerShare, func(s int) float64 {
		if s&(s-1) != 0 {
			return 0
		}
		return perOctave(s)
	})
	add(headerShare, func(s int) float64 {
		if below := floorPower(s); s > below && s <= below+64 && below >= 256 {
			return perOctave(below)
		}
		return 0
	})
	add(systemShare, func(s int) float64 {
		if s%4096 != 0 || s == 4096 {
			return 0
		}
		return smooth(s)
	})
	left := rest / b.share
	add(left*wordShare, func(s int) float64 {
		if s%8 != 0 {
			return 0
		}
		return smooth(s)
	})
	add(left*(1-wordShare), smooth)
}

// floorPower is the largest power of two that is at most s. Preconditions: s > 0.
func floorPower(s int) int {
	p := 1
	for p*2 <= s {
		p *= 2
	}
	return p
}
