package faults

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// A fault is met at exactly the addresses it names, and leaves other calls and other threads alone. Unmapping what is
// not mapped succeeds where nothing refuses it.
func TestAFaultIsMetWhereItSays(t *testing.T) {
	const page = 4096
	munmap := func(a uintptr) unix.Errno {
		_, _, e := unix.RawSyscall(unix.SYS_MUNMAP, a, page, 0)
		return e
	}
	for _, x := range []struct {
		name    string
		from, n uintptr
		mask    uint32
		in, out []uintptr
	}{
		{"below 4 GiB of one half", 0x2000_1000_0000, 0x3000, 0,
			[]uintptr{0x2000_1000_0000, 0x2000_1000_2000},
			[]uintptr{0x2000_0fff_f000, 0x2000_1000_3000, 0x1fff_1000_1000, 0x2001_1000_1000}},
		{"over several halves", 0x2000_f000_0000, 0x2_3000_0000, 0,
			[]uintptr{0x2000_f000_0000, 0x2000_ffff_f000, 0x2001_0000_0000, 0x2001_f000_0000, 0x2003_0000_0000, 0x2003_1fff_f000},
			[]uintptr{0x2000_efff_f000, 0x2003_2000_0000, 0x2004_0000_0000, 0x1fff_f800_0000}},
		{"up to a half's end", 0x2000_0000_0000, 1 << 32, 0,
			[]uintptr{0x2000_0000_0000, 0x2000_ffff_f000}, []uintptr{0x1fff_ffff_f000, 0x2001_0000_0000}},
		{"by a mask", 0x2000_0000_0000, 1 << 32, 1 << 21,
			[]uintptr{0x2000_0000_0000, 0x2000_0040_1000}, []uintptr{0x2000_0020_0000, 0x2000_0060_1000}},
	} {
		t.Run(x.name, func(t *testing.T) {
			f := Fault{Call: unix.SYS_MUNMAP, Errno: unix.EBADSLT, Mask: x.mask}.In(x.from, x.n)
			OnDoomedThread(func() {
				if err := f.Install(); err != nil {
					t.Skipf("no system call filter: %v", err)
				}
				for _, a := range x.in {
					require.Equal(t, unix.EBADSLT, munmap(a), "%#x", a)
				}
				for _, a := range x.out {
					require.Zero(t, munmap(a), "%#x", a)
				}
			})
			require.Zero(t, munmap(x.in[0]), "another thread")
		})
	}
}
