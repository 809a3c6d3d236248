package programs

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A small program must stay small: one thread, and no trace of a Go runtime, which would catch nearly
// every signal.
func TestSmallProgramHasOneThread(t *testing.T) {
	sh, grep := need(t, "sh", "dash"), need(t, "grep", "grep")
	argv := []string{sh, "-c", "exec " + grep + " -E '^(Threads|Sig(Blk|Ign|Cgt)|Vm(Size|RSS)):' /proc/self/status"}
	with := execute(t, program{argv: argv})
	without := execute(t, program{argv: argv, proof: noPreload})
	if !strings.Contains(with, "Threads:\t1\n") {
		t.Errorf("not one thread:\n%s", with)
	}
	memory := regexp.MustCompile(`(?m)^Vm\w+:.*\n`)
	equal(t, "the process's threads and signals", memory.ReplaceAllString(with, ""), memory.ReplaceAllString(without, ""))
	t.Logf("with the library: %q", memory.FindAllString(with, -1))
	t.Logf("without it:       %q", memory.FindAllString(without, -1))
}

func TestBash(t *testing.T) {
	bash := need(t, "bash", "bash")
	requireBound(t, bash, "--version")
	got := execute(t, program{argv: []string{bash, source(t, "bash/script.sh")}})

	// The script's results, by other means.
	var want strings.Builder
	sum := sha256.New()
	for i := range 10000 {
		fmt.Fprintf(sum, "%d:%s\n", i, strings.Repeat("x", i%97))
	}
	fmt.Fprintf(&want, "loop 49995000 array 10000 assoc 1000 last v999\n")
	fmt.Fprintf(&want, "sha %x\n", sum.Sum(nil))
	fmt.Fprintf(&want, "subshells 4950 outer 1\n")
	fmt.Fprintf(&want, "pipes 5000 10000 25005000\n")
	fmt.Fprintf(&want, "string 12288 b 12288\n")
	fmt.Fprintf(&want, "regex 2026-07-14\n")
	fmt.Fprintf(&want, "here line 499 of 500\n")
	fmt.Fprintf(&want, "process substitution same\n")
	fmt.Fprintf(&want, "jobs 20 ok\n")
	equal(t, "bash's output", got, want.String())
}

func TestCoreutils(t *testing.T) {
	sortTool := need(t, "sort", "coreutils")
	requireBound(t, sortTool, "--version")
	dir := workDir(t)
	random := rand.New(rand.NewPCG(1, 2))
	lines := make([]string, 500_000)
	for i := range lines {
		lines[i] = fmt.Sprintf("%09d %0*x", random.IntN(1e9), 1+random.IntN(24), random.Uint64())
	}
	text := strings.Join(lines, "\n") + "\n"
	write(t, filepath.Join(dir, "lines"), text)
	sorted := slices.Clone(lines)
	slices.Sort(sorted)
	ordered := strings.Join(sorted, "\n") + "\n"
	shell := func(t *testing.T, script string) string {
		return execute(t, program{argv: []string{"/bin/sh", "-ec", script}, dir: dir, env: []string{"LC_ALL=C"}})
	}

	t.Run("sort", func(t *testing.T) {
		equal(t, "sort in memory", shell(t, "sort --parallel=4 -S 400M lines"), ordered)
		equal(t, "sort by merging", shell(t, "sort --parallel=4 -S 4M --batch-size=8 lines"), ordered)
		equal(t, "shuf and sort -u", shell(t, "shuf lines | sort -u | sha256sum"),
			digest(strings.Join(slices.Compact(slices.Clone(sorted)), "\n")+"\n"))
	})
	t.Run("digests", func(t *testing.T) {
		equal(t, "sha256sum", shell(t, "sha256sum < lines"), digest(text))
		equal(t, "base64", shell(t, "base64 lines | base64 -d | sha256sum"), digest(text))
	})
	t.Run("text", func(t *testing.T) {
		equal(t, "wc", shell(t, "wc < lines | tr -s ' '"), fmt.Sprintf(" %d %d %d\n", len(lines), 2*len(lines), len(text)))
		equal(t, "tr", shell(t, "tr a-f A-F < lines | sha256sum"), digest(strings.ToUpper(text)))
		equal(t, "tac", shell(t, "tac lines | tac | sha256sum"), digest(text))
		equal(t, "split", shell(t, "split -n l/7 lines part. && cat part.* | sha256sum; ls part.* | wc -l"), digest(text)+"7\n")
		equal(t, "cut and paste", shell(t, `cut -d' ' -f1 lines > a; cut -d' ' -f2 lines > b; paste -d' ' a b | sha256sum`), digest(text))
		equal(t, "seq and factor", shell(t, "seq 2 20000 | factor | grep -cE '^[0-9]+: [0-9]+$'"), "2262\n")
	})
	t.Run("join", func(t *testing.T) {
		var want strings.Builder
		for i := 0; i < 200_000; i += 6 {
			fmt.Fprintf(&want, "%06d two three\n", i)
		}
		equal(t, "join", shell(t, `seq -f '%06g two' 0 2 199999 > j2; seq -f '%06g three' 0 3 199999 > j3; join j2 j3 | sha256sum`),
			digest(want.String()))
		equal(t, "comm", shell(t, `seq -w 0 99999 > c1; seq -w 50000 149999 | cut -c2- | sort -u > c2; comm -12 c1 c2 | wc -l`), "100000\n")
	})
	t.Run("tree", func(t *testing.T) {
		var want strings.Builder
		want.WriteString("tree:\n")
		var rest strings.Builder
		for d := range 40 {
			name := fmt.Sprintf("d%02d", d)
			fmt.Fprintf(&want, "%s\n", name)
			fmt.Fprintf(&rest, "\ntree/%s:\n", name)
			for f := range 50 {
				file := fmt.Sprintf("f%02d", f)
				write(t, filepath.Join(dir, "tree", name, file), file)
				fmt.Fprintf(&rest, "%s\n", file)
			}
		}
		equal(t, "ls -R", shell(t, "ls -R tree"), want.String()+rest.String())
		equal(t, "find", shell(t, "find tree -type f -size -2 | sort | xargs -n 100 cat | wc -c"), "6000\n")
		equal(t, "cp and rm", shell(t, "cp -a tree copy && diff -r tree copy && rm -r copy && du -a tree | wc -l"), "2041\n")
	})
}

// digest is the line that sha256sum prints for text on its standard input.
func digest(text string) string { return fmt.Sprintf("%x  -\n", sha256.Sum256([]byte(text))) }

// write writes a file, making its directory.
func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
}
