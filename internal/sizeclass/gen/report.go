package main

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// loss is what a table wastes under a demand, as shares of the memory it takes for small objects.
type loss struct {
	rounding float64 // class size minus requested size
	span     float64 // tails and span metadata
	worst    float64 // the largest rounding of any request above 128 bytes, of the class size
}

// lossOf computes the loss of malloc: the class of 8 bytes, which only operator new uses, is left out.
func lossOf(table []class, d *demand) loss {
	var taken, sized, asked float64
	var l loss
	prev := 0
	for _, c := range table {
		if c.size == 8 {
			continue
		}
		count, bytes := d.between(prev, c.size)
		taken += count * c.footprint()
		sized += count * float64(c.size)
		asked += bytes
		if w := float64(c.size-prev-1) / float64(c.size); prev >= stepAbove && w > l.worst {
			l.worst = w
		}
		prev = c.size
	}
	l.rounding = (sized - asked) / taken
	l.span = (taken - sized) / taken
	return l
}

// perOctave is the table with n classes evenly spaced between powers of two, for comparison. It keeps
// the sizes to multiples of 16 and 128 but not the bound on tails.
func perOctave(n int) []class {
	var table []class
	last := 0
	for power := 16; power <= maxSmall; power *= 2 {
		for i := range n {
			size := power + power*i/n
			if grain := 16; size > fineMax {
				grain = 128
				size = (size + grain - 1) / grain * grain
			} else {
				size = (size + grain - 1) / grain * grain
			}
			if size > last && size <= maxSmall {
				c, _ := classOf(size)
				table = append(table, c)
				last = size
			}
		}
	}
	return table
}

// report prints the table, what each class wastes, and the totals beside simpler tables.
func report(w io.Writer, table []class, r *curve, d *demand) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "class\tsize\tpages\tobjects\tbatch\ttail %\trounding worst %\trounding expected %\tbytes asked %\t")
	_, all := d.between(0, maxSmall)
	prev := 0
	for i, c := range table {
		count, bytes := d.between(prev, c.size)
		expected := 0.0
		if count > 0 {
			expected = 1 - bytes/(count*float64(c.size))
		}
		fmt.Fprintf(t, "%d\t%d\t%d\t%d\t%d\t%.2f\t%.2f\t%.2f\t%.2f\t\n", i+1, c.size, c.pages, c.objects, c.batch,
			100*float64(c.tail())/float64(c.span()), 100*float64(c.size-prev-1)/float64(c.size), 100*expected, 100*bytes/all)
		prev = c.size
	}
	if err := t.Flush(); err != nil {
		return err
	}

	fmt.Fprintln(w, "\nExpected waste through malloc, % of the memory taken for objects up to 256 KiB:")
	fmt.Fprintln(t, "table\tclasses\trounding\ttails, metadata\ttotal\tworst rounding\t")
	line := func(name string, table []class) {
		l := lossOf(table, d)
		n := len(table)
		if table[0].size != 8 {
			n++ // so that every table counts the class of 8 bytes
		}
		fmt.Fprintf(t, "%s\t%d\t%.2f\t%.2f\t%.2f\t%.1f\t\n", name, n, 100*l.rounding, 100*l.span, 100*(l.rounding+l.span), 100*l.worst)
	}
	line("this one", table)
	line("1 per octave", perOctave(1))
	line("4 per octave", perOctave(4))
	line("8 per octave", perOctave(8))
	if err := t.Flush(); err != nil {
		return err
	}

	fmt.Fprintln(w, "\nWhat one more class saves, % of bytes asked for:")
	for k := numSizes - 12; k < numSizes; k++ {
		fmt.Fprintf(t, "%d -> %d\t%.4f\t\n", k+1, k+2, 100*(r.cost[k]-r.cost[k+1])/all)
	}
	return t.Flush()
}
