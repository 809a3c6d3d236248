package ctest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// node is a row of the report at exit, in the order of its columns.
type node struct {
	kernel, cpus          int
	mapped, spans, free   float64 // MiB
	objects, others, back int
}

// nodesIn finds the table of NUMA nodes in a report.
func nodesIn(t *testing.T, report string) (all []node) {
	t.Helper()
	_, table, ok := strings.Cut(report, "NUMA node")
	if !ok {
		return nil
	}
	for _, line := range strings.Split(table, "\n")[1:] {
		f := strings.Fields(strings.ReplaceAll(line, "MiB", ""))
		if len(f) != 8 {
			break
		}
		var v [8]float64
		for i := range f {
			x, err := strconv.ParseFloat(f[i], 64)
			if err != nil {
				return all // the next table's heading
			}
			v[i] = x
		}
		all = append(all, node{int(v[0]), int(v[1]), v[2], v[3], v[4], int(v[5]), int(v[6]), int(v[7])})
	}
	return all
}

// twoCPUs are two CPUs that the test may run on.
func twoCPUs(t *testing.T) [2]int {
	t.Helper()
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		t.Skip(err)
	}
	var cpus []int
	for i := 0; i < 1024 && len(cpus) < 2; i++ {
		if set.IsSet(i) {
			cpus = append(cpus, i)
		}
	}
	if len(cpus) < 2 {
		t.Skip("one CPU is one node")
	}
	return [2]int(cpus)
}

// TestEachNodeServesItsOwnThreads runs a program on two nodes that VCMALLOC_TOPOLOGY makes up. One of them the kernel
// may have, the other not: memory is placed where it can be, and the books are kept the same.
func TestEachNodeServesItsOwnThreads(t *testing.T) {
	requireLibrary(t)
	cpus := twoCPUs(t)
	all := programs(t, "stress")
	p := all[slices.IndexFunc(all, func(p *program) bool { return p.name == "nodes.c" })]
	exe := mustBuild(t, p)
	topology := fmt.Sprintf("VCMALLOC_TOPOLOGY=%d@0;%d@77", cpus[0], cpus[1])
	run := func(t *testing.T, env ...string) []node {
		ctx, cancel := context.WithTimeout(context.Background(), p.timeout)
		defer cancel()
		cmd := exec.CommandContext(ctx, exe, strconv.Itoa(cpus[0]), strconv.Itoa(cpus[1]))
		cmd.WaitDelay = time.Second
		cmd.Env = append(os.Environ(), "LD_PRELOAD="+libraryPath, topology, "VCMALLOC_STATS=exit", "CTEST_EXPECT=1")
		cmd.Env = append(cmd.Env, env...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return nodesIn(t, string(out))
	}
	for _, env := range []string{"VCMALLOC_VCPU=auto", "VCMALLOC_VCPU=lock", "VCMALLOC_FEATURES=-nuca"} {
		t.Run(env, func(t *testing.T) {
			nodes := run(t, env)
			if len(nodes) != 2 || nodes[0].kernel != 0 || nodes[1].kernel != 77 {
				t.Fatalf("nodes in the report: %+v", nodes)
			}
			for _, n := range nodes {
				// Each thread took 21 MiB on its node, of which the other has freed half: 11 MiB are held in objects,
				// small ones in spans of which half may be free. Of 2000 small ones that the other thread freed most
				// were brought back: what a vCPU's cache kept for itself was not.
				if n.spans < 10 || n.spans > 26 || n.mapped < 21 || n.objects < 4000 || n.back < 500 || n.others != 0 || n.cpus != 1 {
					t.Errorf("node %d: %+v", n.kernel, n)
				}
			}
		})
	}
	t.Run("without", func(t *testing.T) {
		cmd := exec.Command(exe, strconv.Itoa(cpus[0]), strconv.Itoa(cpus[1]))
		cmd.Env = append(os.Environ(), "LD_PRELOAD="+libraryPath, topology, "VCMALLOC_FEATURES=-numa", "CTEST_EXPECT=1")
		if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "share a hugepage") {
			t.Errorf("without nodes the program's own check passes, so it checks nothing: %v\n%s", err, out)
		}
	})
}
