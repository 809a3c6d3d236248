package subject

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestEnvironmentsOfAllSubjectsHaveTheSameSize(t *testing.T) {
	base := []string{"HOME=/root", "LD_PRELOAD=/x.so", "VCMALLOC_STATS=exit", "MALLOC_ARENA_MAX=1", "GLIBC_TUNABLES=glibc.malloc.tcache_count=0"}
	size := func(s Subject) (n int) {
		for _, kv := range s.Environ(base) {
			n += len(kv) + 1
		}
		return n
	}
	plain := Subject{Name: "plain"}
	ours := Subject{Name: "ours", Preload: "/some/where/lib.so"}.WithFeatures("legacy", "-all")
	assert.Equal(t, size(plain), size(ours))
	joined := strings.Join(ours.Environ(base), " ")
	assert.Contains(t, joined, "HOME=/root")
	assert.Contains(t, joined, "LD_PRELOAD=/some/where/lib.so")
	assert.Contains(t, joined, "VCMALLOC_FEATURES=-all")
	for _, gone := range []string{"/x.so", "VCMALLOC_STATS", "MALLOC_ARENA_MAX", "GLIBC_TUNABLES"} {
		assert.NotContains(t, joined, gone)
	}
}

func TestWithFeaturesLeavesTheOriginalAlone(t *testing.T) {
	s := Subject{Name: "a", Env: make([]string, 0, 4)}
	x, y := s.WithFeatures("x", "-all"), s.WithFeatures("y", "+all")
	assert.Equal(t, []string{"VCMALLOC_FEATURES=-all"}, x.Env)
	assert.Equal(t, []string{"VCMALLOC_FEATURES=+all"}, y.Env)
	assert.Empty(t, s.Env)
}

func TestParseWantsNameAndPath(t *testing.T) {
	for _, bad := range []string{"", "name", "=path", "name=", "name=/does/not/exist.so"} {
		_, err := Parse(bad)
		assert.Error(t, err, bad)
	}
}

func TestSelectKeepsOrderAndNamesTheUnknown(t *testing.T) {
	all := []Subject{{Name: "a"}, {Name: "b"}, {Name: "c"}}
	got, err := Select(all, []string{"c", "a"})
	require.NoError(t, err)
	assert.Equal(t, []string{"a", "c"}, Names(got))
	_, err = Select(all, []string{"d"})
	assert.ErrorContains(t, err, "a, b, c")
}

func TestProviderFindsTheProgramsOwnBinding(t *testing.T) {
	text := "     1:\tbinding file /lib/libssl.so [0] to /lib/libjemalloc.so.2 [0]: normal symbol `malloc'\n" +
		"     1:\tbinding file redis-server [0] to /lib/libc.so.6 [0]: normal symbol `malloc' [GLIBC_2.2.5]\n"
	to, ok := provider([]byte(text), "/usr/bin/redis-server")
	assert.True(t, ok)
	assert.Equal(t, "/lib/libc.so.6", to)
	_, ok = provider([]byte(text), "/usr/bin/other")
	assert.False(t, ok)
}
