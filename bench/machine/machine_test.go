package machine

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestChosenWord(t *testing.T) {
	assert.Equal(t, "madvise", chosen("always [madvise] never"))
	assert.Equal(t, "unknown", chosen(""))
}

func TestField(t *testing.T) {
	text := "processor\t: 0\nmodel name\t: AMD EPYC\nflags\t\t: fpu hypervisor\n"
	assert.Equal(t, "AMD EPYC", field(text, "model name"))
	assert.Equal(t, "", field(text, "absent"))
}

func TestLinesSayWhatIsMissing(t *testing.T) {
	m := Machine{CPU: "x", Cores: 2, FloorNanos: 2.5, Touch4KNanos: 100}
	var all string
	for _, l := range m.Lines() {
		all += l + "\n"
	}
	assert.Contains(t, all, "no counters here")
	assert.Contains(t, all, "no hugepage was to be had")
	assert.Contains(t, all, "2.50 ns a pair")
}
