package work

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/vcmalloc/vcmalloc/bench/lab"
	"github.com/vcmalloc/vcmalloc/bench/runner"
)

// pipeline is the paper's: the words of a 1 GB file counted in one process, in our case by two threads.
func pipeline(l *lab.Lab) runner.Case {
	words := l.Amount(100000000, 1200000, 200000)
	text := filepath.Join(l.Work, "input", fmt.Sprintf("%d-words.txt", words))
	return generator{
		name: "pipeline", unit: "words/s", file: "pipeline.cc",
		about: fmt.Sprintf("Word count of a generated text of %.1f million words (%.2f GB; Zipf's law over a million) in one C++ process with two "+
			"threads; the counts are compared with those of the writer.", float64(words)/1e6, 10.1e-9*float64(words)),
		args: []string{"count", text, "2"},
		cost: time.Duration(words) * 420 * time.Nanosecond,
		prepare: func(ctx context.Context, binary string) error {
			if _, err := os.Stat(text + ".sum"); err == nil { // written last
				return nil
			}
			if err := os.MkdirAll(filepath.Dir(text), 0o755); err != nil {
				return err
			}
			// Under another name first: a bench beside this one may want the same.
			part := fmt.Sprintf("%s.%d", text, os.Getpid())
			if err := exec.CommandContext(ctx, binary, "gen", part, fmt.Sprint(words)).Run(); err != nil {
				return fmt.Errorf("writing %s: %w", text, err)
			}
			return errors.Join(os.Rename(part, text), os.Rename(part+".sum", text+".sum"))
		},
	}.build(l)
}

func keyValue(l *lab.Lab) runner.Case {
	return KeyValue(l, "key-value", "day", l.Amount(2000000, 80000, 5000))
}

func keyValueBursts(l *lab.Lab) runner.Case {
	return KeyValue(l, "key-value, bursts", "bursts", l.Amount(2000000, 80000, 5000))
}

// KeyValue is the key-value store under a load of the shape "day" or "bursts".
func KeyValue(l *lab.Lab, name, shape string, operations int) runner.Case {
	about := map[string]string{
		"day":    "clients rise from 1 to 64 threads and fall again",
		"bursts": "clients jump between 1 and 64 threads",
	}
	return generator{
		name: name, unit: "op/s", file: "kv.cc", waste: true,
		about: "A key-value store with a write buffer and an LRU cache of decoded blocks; " + about[shape] + "; every value read is checked.",
		args:  []string{fmt.Sprint(operations), lab.Pick(l.Size, "256", "32", "4"), "1", shape},
		cost:  time.Duration(operations) * 4 * time.Microsecond,
	}.build(l)
}

func series(l *lab.Lab) runner.Case {
	steps, n := l.Amount(3000, 900, 130), lab.Pick(l.Size, 20000, 10000, 100)
	return generator{
		name: "time series", unit: "samples/s", file: "tsdb.cc", waste: true,
		about: "Samples appended to series that come and go, in growing compressed chunks that are closed and expire; queries " +
			"decode and check whole series.",
		args: []string{fmt.Sprint(steps), fmt.Sprint(n), "2"},
		cost: time.Duration(steps*n) * 50 * time.Nanosecond,
	}.build(l)
}

func query(l *lab.Lab) runner.Case {
	rows, rounds := lab.Pick(l.Size, 100000, 20000, 200), l.Amount(6, 2, 1)
	return generator{
		name: "query engine", unit: "queries/s", file: "query.c", flags: []string{"-lsqlite3"},
		about: "SQLite in 4 threads, each with its own database in memory: joins, groups, sorts of texts; sums are checked.",
		args:  []string{fmt.Sprint(rows), fmt.Sprint(rounds), "4"},
		cost:  time.Duration(rows*rounds) * 20 * time.Microsecond,
	}.build(l)
}
