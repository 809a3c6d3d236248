package work

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/vcmalloc/vcmalloc/bench/lab"
	"github.com/vcmalloc/vcmalloc/bench/proc"
	"github.com/vcmalloc/vcmalloc/bench/runner"
	"github.com/vcmalloc/vcmalloc/bench/subject"
)

// compile runs g++'s compiler proper on a large generated file. All subjects must produce the same assembly.
func compile(l *lab.Lab) runner.Case {
	classes := l.Amount(40, 2, 1)
	source := filepath.Join(l.Work, "input", fmt.Sprintf("generated-%d.cc", classes))
	var (
		mu       sync.Mutex
		compiler string
		first    [sha256.Size]byte
	)
	c := runner.Case{
		Name: "compiler", Cost: 400*time.Millisecond + time.Duration(classes)*450*time.Millisecond,
		About:   "cc1plus -O2 on a generated file of classes, templates and standard containers; the assembly must be the same under all.",
		Metrics: append([]runner.Metric{throughput("files/h")}, l.SystemMetrics()...),
	}
	c.Prepare = func(ctx context.Context) error {
		if err := needs("g++", "g++"); err != nil {
			return err
		}
		out, err := exec.CommandContext(ctx, "g++", "-print-prog-name=cc1plus").Output()
		if err != nil {
			return err
		}
		compiler = string(bytes.TrimSpace(out))
		if err := os.MkdirAll(filepath.Dir(source), 0o755); err != nil {
			return err
		}
		return os.WriteFile(source, []byte(cxxSource(classes)), 0o644)
	}
	c.Run = func(ctx context.Context, s subject.Subject) (runner.Sample, error) {
		res, err := l.Launch.Run(ctx, proc.Command{
			Argv:    []string{compiler, "-quiet", "-O2", "-std=c++17", "-D_GNU_SOURCE", "-imultiarch", "x86_64-linux-gnu", source, "-o", "-"},
			Subject: s, Sample: interval(l),
		})
		if err != nil {
			return runner.Sample{}, err
		}
		sum := sha256.Sum256(res.Stdout)
		mu.Lock()
		defer mu.Unlock()
		if first == [sha256.Size]byte{} {
			first = sum
		}
		if len(res.Stdout) == 0 || sum != first {
			return runner.Sample{}, fmt.Errorf("the assembly under %s differs from the others'", s.Name)
		}
		f := map[string]float64{Throughput: 3600 / res.Wall.Seconds()}
		lab.Account(f, res)
		return runner.Sample{Figures: f, Line: lab.Line(res)}, nil
	}
	return c
}

// cxxSource is a file that keeps a compiler busy, the same for the same number of classes.
func cxxSource(classes int) string {
	rng := rand.New(rand.NewPCG(3, 4))
	var b strings.Builder
	b.WriteString("#include <algorithm>\n#include <functional>\n#include <map>\n#include <memory>\n#include <string>\n#include <vector>\n" +
		"template <class T, int N> struct Ring { T slot[N]; int head = 0; void push(T t) { slot[head++ % N] = std::move(t); } T &at(int i) { return slot[i % N]; } };\n")
	for i := range classes {
		n := 3 + rng.IntN(5)
		fmt.Fprintf(&b, "struct C%d {\n  std::map<std::string, std::vector<int>> index;\n  Ring<std::unique_ptr<std::string>, %d> ring;\n", i, n)
		for m := range n {
			fmt.Fprintf(&b, `  int f%d(const std::vector<int> &v, int k) {
    std::vector<std::pair<int, std::string>> out;
    for (int x : v) if (x %% %d) out.emplace_back(x * k + %d, std::to_string(x));
    std::sort(out.begin(), out.end(), [&](auto &a, auto &b) { return a.first * %d < b.first; });
    std::function<int(int)> g = [&](int d) { return d <= 0 ? k : g(d - 1) + (int)out.size(); };
    for (auto &p : out) index[p.second].push_back(g(p.first %% %d));
    ring.push(std::make_unique<std::string>(std::to_string(k)));
    return (int)index.size() + (int)ring.at(k)->size();
  }
`, m, 2+rng.IntN(9), rng.IntN(1000), 1+rng.IntN(5), 2+rng.IntN(9))
		}
		fmt.Fprintf(&b, "};\nint use%d(const std::vector<int> &v) { C%d c; return c.f0(v, %d) + c.f1(v, %d); }\n", i, i, rng.IntN(100), rng.IntN(100))
	}
	return b.String()
}
