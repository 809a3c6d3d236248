package ctest

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

const noTunable = "GLIBC_TUNABLES=glibc.pthread.rseq=0"

// TestNoRseq runs programs where restartable sequences, or the membarrier that stops them, can't be had:
// the C library told not to register them, or the kernel refusing, by seccomp, in either of the two ways
// in use.
func TestNoRseq(t *testing.T) {
	if testing.Short() {
		t.Skip("-short")
	}
	modes := []struct {
		name     string
		env      []string
		launcher []string // arguments of seccomp_exec
	}{
		{"tunable", []string{noTunable}, nil},
		{"rseq-ENOSYS", nil, []string{"-rseq", "ENOSYS"}},
		{"rseq-EPERM", nil, []string{"-rseq", "EPERM"}},
		{"membarrier-ENOSYS", nil, []string{"-membarrier", "ENOSYS"}},
		{"membarrier-EPERM", nil, []string{"-membarrier", "EPERM"}},
		{"both-ENOSYS", nil, []string{"-rseq", "ENOSYS", "-membarrier", "ENOSYS"}},
		{"both-EPERM", nil, []string{"-rseq", "EPERM", "-membarrier", "EPERM"}},
		// glibc leaves rseq to us and the kernel refuses: our own registration fails.
		{"tunable-rseq-EPERM", []string{noTunable}, []string{"-rseq", "EPERM"}},
	}
	requireLibrary(t)
	launcher := mustBuild(t, &program{path: "tools/seccomp_exec.c", name: "seccomp_exec.c"})
	probe := exec.Command(launcher, "-membarrier", "EPERM", "/bin/true")
	if out, err := probe.CombinedOutput(); err != nil {
		t.Skipf("seccomp filters can't be set here: %v\n%s", err, out)
	}
	for i, mode := range modes {
		each := func(t *testing.T, p *program, args string) {
			exe := mustBuild(t, p)
			argv := append([]string{exe}, strings.Fields(args)...)
			if mode.launcher != nil {
				argv = append(append([]string{launcher}, mode.launcher...), argv...)
			}
			succeed(t, p, append(p.env[:len(p.env):len(p.env)], mode.env...), argv...)
		}
		t.Run(mode.name, func(t *testing.T) {
			n := 0
			for _, p := range programs(t, "stress") {
				for _, args := range p.norseq {
					n++
					// Each program in some of the modes; all in all of them when long.
					if !*long && p.name != "fuzz_diff.c" && p.name != "fork_alloc.c" && (n+i)%3 != 0 {
						continue
					}
					t.Run(strings.TrimSpace(fmt.Sprint(p.name, " ", args)), func(t *testing.T) {
						if !p.serial {
							t.Parallel()
						}
						each(t, p, args)
					})
				}
			}
		})
	}
}
