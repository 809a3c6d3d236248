package main

import (
	"bytes"
	"os"
	"testing"
)

// generated is the table as the generator chooses it now.
func generated(t *testing.T) ([]class, *demand) {
	t.Helper()
	d := paperDemand()
	table, err := solve(d).classes(numSizes)
	if err != nil {
		t.Fatal(err)
	}
	return table, d
}

func TestRegenerationGivesNoDiff(t *testing.T) {
	table, _ := generated(t)
	want, err := emit(table)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../table_gen.go")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("table_gen.go is not what its generator writes: run go generate ./internal/sizeclass")
	}
}

func TestDistributionIsFigure57(t *testing.T) {
	d := paperDemand()
	for _, c := range []struct {
		what      string
		got, want float64
	}{
		{"bytes below 1 KiB", d.bytes[1023], 0.28},
		{"bytes of 1..8 KiB", d.bytes[8192] - d.bytes[1023], 0.22},
		{"bytes of 8..256 KiB", d.bytes[maxSmall] - d.bytes[8192], 0.28},
		{"objects below 1 KiB", d.count[1023] / (d.count[maxSmall] + largeBytesShare/largeMeanBytes), 0.98},
	} {
		if diff := c.got - c.want; diff > 1e-6 || diff < -1e-6 {
			t.Errorf("%s: %f, want %f", c.what, c.got, c.want)
		}
	}
}

func TestChosenTableBeatsSimplerOnes(t *testing.T) {
	table, d := generated(t)
	total := func(table []class) float64 {
		l := lossOf(table, d)
		return l.rounding + l.span
	}
	ours := total(table)
	if ours > 0.07 {
		t.Errorf("expected waste is %.2f %%, was 6.77 %% when this test was written", 100*ours)
	}
	for _, n := range []int{1, 4, 8} {
		if other := total(perOctave(n)); other <= ours {
			t.Errorf("%d per octave wastes %.2f %%, ours %.2f %%", n, 100*other, 100*ours)
		}
	}
}

// TestChoiceIsOptimal changes one size at a time: no single move may lower what the programme minimises.
func TestChoiceIsOptimal(t *testing.T) {
	table, d := generated(t)
	cost := func(prev int, c class) float64 {
		count, bytes := d.between(prev, c.size)
		return count*c.charged() - bytes
	}
	cands := candidates()
	for i := 2; i < len(table)-1; i++ {
		before, here, after := table[i-1], table[i], table[i+1]
		now := cost(before.size, here) + cost(here.size, after)
		for _, c := range cands {
			if c.size <= before.size || c.size >= after.size || required(here.size) {
				continue
			}
			if before.size >= stepAbove && float64(c.size) > maxStep*float64(before.size) || float64(after.size) > maxStep*float64(c.size) {
				continue
			}
			if moved := cost(before.size, c) + cost(c.size, after); moved < now-1e-12 {
				t.Errorf("%d instead of %d would cost less", c.size, here.size)
			}
		}
	}
}
