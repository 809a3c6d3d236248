package main

import (
	"errors"
	"math"
)

const (
	// numSizes is the number of real classes, 8 bytes included: within the paper's 80-90 (5.2.1), and one
	// less than a multiple of 8, so that a row of 8-byte counters indexed by class id fills whole cache
	// lines (88*8 = 11 lines). Every class costs slots in each per-CPU slab and a partly filled span in
	// the central free list; the last one still saves 0.04 % of the bytes in small objects.
	numSizes = 87

	// maxStep bounds the step between neighbours above 128 bytes, so that a size the distribution
	// thinks rare is not left without a near class.
	maxStep   = 1.2
	stepAbove = 128 // bytes; up to here every multiple of 16 is a class
)

// required reports whether size must be a class whatever the distribution says.
func required(size int) bool {
	switch {
	case size <= stepAbove: // 1 step of 16 is already more than 12.5 %
		return true
	case size&(size-1) == 0: // what programs ask for all the time, and every alignment's last resort
		return true
	case size <= 512: // cache-line multiples, so that 64-byte alignment never skips a class of 64
		return size%64 == 0
	case size <= fineMax:
		// Steps of at most 27 % for alignment to 64. 704 is there for that alone (a page holds 11 of it, as
		// it does of 736); 640 and 768 in its place would be two such classes and cost 0.03 points.
		return size == 576 || size == 704 || size == 896
	case size <= 32<<10: // whole system pages, for buffers aligned to 4 KiB
		return size%4096 == 0
	}
	return false
}

// candidates are the sizes a class may have, except 8.
func candidates() []class {
	var all []class
	for size := 16; size <= maxSmall; {
		if c, ok := classOf(size); ok || required(size) {
			all = append(all, c)
		}
		if size < fineMax {
			size += 16
		} else {
			size += 128
		}
	}
	return all
}

// curve is the result of the dynamic programme: the least cost for each number of classes, and the
// choices that lead there.
type curve struct {
	cands []class
	cost  []float64 // by number of classes, class 8 not counted; +Inf where the constraints can't be met
	from  [][]int16
}

// solve finds, for each n up to numSizes, the n candidates that end at maxSmall, include the
// required sizes, keep maxStep and cost least under d. The cost of a class is additive: every request
// above its smaller neighbour and up to its size pays the class's charged footprint, less what it asked
// for. So best[n][j], the least cost of serving all requests up to candidate j with n classes the last
// of which is j, is the minimum over i < j of best[n-1][i] + cost(i, j).
func solve(d *demand) *curve {
	cands := candidates()
	n := len(cands)
	prev := make([]float64, n+1) // index 0: no class yet
	for j := range prev {
		prev[j] = math.Inf(1)
	}
	prev[0] = 0
	sizes := make([]int, n+1)
	firstFrom := make([]int, n+1) // the smallest i that may precede j: no required size is jumped over
	for j, c := range cands {
		sizes[j+1] = c.size
		i := j
		for i > 0 && !required(sizes[i]) {
			i--
		}
		for i < j && sizes[i] >= stepAbove && float64(c.size) > maxStep*float64(sizes[i]) {
			i++
		}
		firstFrom[j+1] = i
	}
	res := &curve{cands: cands, cost: []float64{math.Inf(1)}, from: [][]int16{nil}}
	for k := 1; k <= numSizes; k++ {
		cur := make([]float64, n+1)
		from := make([]int16, n+1)
		cur[0] = math.Inf(1)
		for j := 1; j <= n; j++ {
			cur[j] = math.Inf(1)
			each := cands[j-1].charged()
			for i := firstFrom[j]; i < j; i++ {
				if sizes[i] >= stepAbove && float64(sizes[j]) > maxStep*float64(sizes[i]) {
					continue
				}
				count, bytes := d.between(sizes[i], sizes[j])
				if c := prev[i] + (count*each - bytes); c < cur[j] {
					cur[j], from[j] = c, int16(i)
				}
			}
		}
		res.cost = append(res.cost, cur[n])
		res.from = append(res.from, from)
		prev = cur
	}
	return res
}

// classes are the n chosen classes, the first of which is that of 8 bytes.
func (r *curve) classes(n int) ([]class, error) {
	k := n - 1
	if math.IsInf(r.cost[k], 1) {
		return nil, errors.New("no table meets the constraints")
	}
	out := make([]class, n)
	for j := len(r.cands); k > 0; k-- {
		out[k] = r.cands[j-1]
		j = int(r.from[k][j])
	}
	out[0], _ = classOf(8)
	for i := range out {
		if err := out[i].addMagic(); err != nil {
			return nil, err
		}
	}
	return out, nil
}
