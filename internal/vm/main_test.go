package vm

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/vcmalloc/vcmalloc/internal/sys"
)

// childEnv makes a copy of the test program run under a limit of its address space instead of testing.
const childEnv = "VCM_VM_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		if err := underLimit(); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func runUnderLimit(t *testing.T) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), childEnv+"=1")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Errorf("%v\n%s", err, out.String())
	}
}

// newSpace is a space that ends with the test.
func newSpace(t testing.TB, seed uint64) *Space {
	t.Helper()
	s := new(Space)
	if !s.Init(seed) {
		t.Fatal("no address range")
	}
	t.Cleanup(func() {
		if s.base != 0 {
			s.Free()
		}
	})
	return s
}

// extent is a range of addresses.
type extent struct{ start, end uintptr }

// mappings are the extents of /proc/self/maps.
func mappings(t testing.TB) []extent {
	t.Helper()
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	var all []extent
	for line := range strings.Lines(string(maps)) {
		var e extent
		if _, err := fmt.Sscanf(line, "%x-%x", &e.start, &e.end); err != nil {
			t.Fatal(line, err)
		}
		all = append(all, e)
	}
	return all
}

// mappedIn is how many bytes of [start, end) are mapped.
func mappedIn(t testing.TB, start, end uintptr) uintptr {
	t.Helper()
	n := uintptr(0)
	for _, e := range mappings(t) {
		if from, to := max(e.start, start), min(e.end, end); from < to {
			n += to - from
		}
	}
	return n
}

// foreign maps n bytes at a, as if somebody else did, and fills the first word.
func foreign(t testing.TB, a, n uintptr) {
	t.Helper()
	got, e := sys.Mmap(a, n, sys.ProtRead|sys.ProtWrite, sys.MapPrivate|sys.MapFixedNoReplace)
	if e != 0 || got != a {
		t.Fatalf("mmap at %#x: %#x, error %d", a, got, e)
	}
	sys.Store64(a, uint64(a)^0xf0f0)
	t.Cleanup(func() { sys.Munmap(a, n) })
}

func intact(t testing.TB, a uintptr) {
	t.Helper()
	if sys.Load64(a) != uint64(a)^0xf0f0 {
		t.Errorf("the foreign mapping at %#x was overwritten", a)
	}
}

// checkAccounts compares the space's counters with the system's view.
func checkAccounts(t testing.TB, s *Space) {
	t.Helper()
	start := s.base - s.size/metaFraction
	if got := mappedIn(t, start, s.base); got != s.MetaBytes() {
		t.Errorf("metadata: %d bytes counted, %d mapped", s.MetaBytes(), got)
	}
	if got := mappedIn(t, s.base, s.base+s.size); got != s.MappedBytes()+s.SpareBytes() {
		t.Errorf("window: %d + %d bytes counted, %d mapped", s.MappedBytes(), s.SpareBytes(), got)
	}
}

// limitAddressSpace lets the process map headroom bytes more than it has.
func limitAddressSpace(headroom uintptr) error {
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return err
	}
	var pages uintptr
	if _, err := fmt.Sscan(string(statm), &pages); err != nil {
		return err
	}
	limit := uint64(pages*uintptr(os.Getpagesize()) + headroom)
	return syscall.Setrlimit(syscall.RLIMIT_AS, &syscall.Rlimit{Cur: limit, Max: limit})
}
