package lab

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/vcmalloc/vcmalloc/bench/machine"
	"github.com/vcmalloc/vcmalloc/bench/proc"
)

func names(l *Lab) (out []string) {
	for _, m := range l.SystemMetrics() {
		out = append(out, m.Name)
	}
	return out
}

// No machine of ours has hardware counters: the figures are made of numbers as a launcher on one that has them
// would print them.
func TestCountersBecomeFigures(t *testing.T) {
	f := map[string]float64{}
	Account(f, &proc.Result{Counters: &proc.Counters{Cycles: 3000, Instructions: 2000, LLCLoads: 90, LLCMisses: 5, TLBMisses: 8}})
	assert.Equal(t, 1.5, f[CPI.Name])
	assert.Equal(t, 2.5, f[LLC.Name], "misses per 1000 instructions")
	assert.Equal(t, 4.0, f[DTLB.Name])
	Account(f, &proc.Result{Counters: &proc.Counters{Cycles: 3000, Instructions: 2000, LLCLoads: math.NaN(), LLCMisses: math.NaN(), TLBMisses: 8}})
	assert.True(t, math.IsNaN(f[LLC.Name]), "a counter that can't be had is no figure")
}

func TestCountersAreShownWhereThereAreAny(t *testing.T) {
	assert.NotContains(t, names(&Lab{}), CPI.Name)
	assert.Contains(t, names(&Lab{Machine: machine.Machine{Counters: true}}), CPI.Name)
}

func TestFigures(t *testing.T) {
	f, err := Figures([]byte(`{"throughput": 1.5, "waste": 3}`))
	assert.NoError(t, err)
	assert.Equal(t, 1.5, f["throughput"])
	_, err = Figures([]byte("wrong result"))
	assert.ErrorContains(t, err, "wrong result")
}
