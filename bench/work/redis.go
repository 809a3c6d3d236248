package work

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/csv"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/vcmalloc/vcmalloc/bench/lab"
	"github.com/vcmalloc/vcmalloc/bench/proc"
	"github.com/vcmalloc/vcmalloc/bench/runner"
	"github.com/vcmalloc/vcmalloc/bench/subject"
)

// redis is a running server with an open client.
type redis struct {
	*client
	socket string
	dir    string
	p      *proc.Process
}

func startRedis(ctx context.Context, l *lab.Lab, s subject.Subject) (*redis, error) {
	dir, err := os.MkdirTemp("", "vcb-redis-") // short: a socket's path has at most 107 bytes
	if err != nil {
		return nil, err
	}
	r := &redis{socket: filepath.Join(dir, "s"), dir: dir}
	r.p, err = l.Launch.Start(ctx, proc.Command{
		Argv: []string{"redis-server", "--port", "0", "--unixsocket", r.socket, "--save", "", "--appendonly", "no",
			"--dir", dir, "--logfile", filepath.Join(dir, "log"), "--daemonize", "no", "--maxclients", "1000"},
		Subject: s, Sample: interval(l),
	})
	if err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	err = r.p.Await(ctx, 20*time.Second, func() (err error) {
		r.client, err = dial(ctx, r.socket)
		return err
	})
	if err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	return r, nil
}

// stop lets the server end by itself and returns what it used, with its own account of its memory before.
func (r *redis) stop() (*proc.Result, float64, error) {
	info, err := r.do([]byte("INFO"), []byte("memory"))
	if err != nil {
		return nil, 0, r.abandon(err)
	}
	used, now := infoField(info, "used_memory"), math.NaN()
	if look, err := r.p.Look(); err == nil {
		now = look.Anon
	}
	r.send([]byte("SHUTDOWN"), []byte("NOSAVE"))
	_ = r.w.Flush()
	r.c.Close()
	res, err := r.p.Wait()
	os.RemoveAll(r.dir)
	return res, 100 * (1 - used/now), err
}

func (r *redis) abandon(err error) error {
	r.c.Close()
	defer os.RemoveAll(r.dir)
	return r.p.Abandon(err)
}

func infoField(info []byte, name string) float64 {
	for line := range bytes.Lines(info) {
		if k, v, ok := strings.Cut(strings.TrimSpace(string(line)), ":"); ok && k == name {
			if f, err := strconv.ParseFloat(v, 64); err == nil {
				return f
			}
		}
	}
	return math.NaN()
}

func redisReady(l *lab.Lab) func(context.Context) error {
	return func(ctx context.Context) error {
		if err := errors.Join(needs("redis-server", "redis-server"), needs("redis-benchmark", "redis-tools")); err != nil {
			return err
		}
		path, err := exec.LookPath("redis-server")
		if err != nil {
			return err
		}
		for _, s := range l.Subjects { // Debian's links libjemalloc: see that it is replaced
			if err := s.Serves(ctx, path, "--version"); err != nil {
				return err
			}
		}
		return nil
	}
}

// redisBenchmark is the paper's: 500 connections, 100,000 operations of 1000 B.
func redisBenchmark(l *lab.Lab) runner.Case {
	ops := l.Amount(100000, 14000, 2000)
	conns := lab.Pick(l.Size, 500, 500, 20)
	c := runner.Case{
		Name: "redis", Cost: time.Duration(ops) * 60 * time.Microsecond, Prepare: redisReady(l),
		About:   "redis-server with redis-benchmark over a unix socket: SET then GET of 1000 B, 500 connections; 100 keys are written and compared before and after.",
		Metrics: append([]runner.Metric{throughput("op/s")}, append(l.SystemMetrics(), Waste)...),
	}
	c.Run = func(ctx context.Context, s subject.Subject) (runner.Sample, error) {
		r, err := startRedis(ctx, l, s)
		if err != nil {
			return runner.Sample{}, err
		}
		rate, err := r.benchmark(ctx, ops, conns)
		if err != nil {
			return runner.Sample{}, r.abandon(err)
		}
		return r.finish(rate)
	}
	return c
}

func (r *redis) finish(rate float64) (runner.Sample, error) {
	res, waste, err := r.stop()
	if err != nil {
		return runner.Sample{}, err
	}
	f := map[string]float64{Throughput: rate, Waste.Name: waste}
	lab.Account(f, res)
	return runner.Sample{Figures: f, Line: lab.Line(res)}, nil
}

func (r *redis) benchmark(ctx context.Context, ops, conns int) (float64, error) {
	value := func(i int) []byte { return bytes.Repeat([]byte{byte('a' + i%26)}, 1000+i) }
	key := func(i int) []byte { return fmt.Appendf(nil, "check:%d", i) }
	for i := range 100 {
		if _, err := r.do([]byte("SET"), key(i), value(i)); err != nil {
			return 0, err
		}
	}
	out, err := exec.CommandContext(ctx, "redis-benchmark", "-s", r.socket, "-c", fmt.Sprint(conns), "-n", fmt.Sprint(ops),
		"-d", "1000", "-r", fmt.Sprint(ops), "-t", "set,get", "--csv").Output()
	if err != nil {
		return 0, fmt.Errorf("redis-benchmark: %w", err)
	}
	for i := range 100 {
		if got, err := r.do([]byte("GET"), key(i)); err != nil || !bytes.Equal(got, value(i)) {
			return 0, fmt.Errorf("redis: key %d came back wrong (%v)", i, err)
		}
	}
	return benchmarkRate(out)
}

// benchmarkRate reads redis-benchmark's CSV: the harmonic mean of its tests' rates, that is all operations by the
// time of all.
func benchmarkRate(out []byte) (float64, error) {
	i := bytes.Index(out, []byte(`"test"`))
	if i < 0 {
		return 0, fmt.Errorf("redis-benchmark printed %q", out)
	}
	records, err := csv.NewReader(bytes.NewReader(out[i:])).ReadAll()
	if err != nil || len(records) < 2 {
		return 0, fmt.Errorf("redis-benchmark printed %q: %w", out, err)
	}
	perOp := 0.0
	for _, rec := range records[1:] {
		rate, err := strconv.ParseFloat(rec[1], 64)
		if err != nil || rate <= 0 {
			return 0, fmt.Errorf("redis-benchmark's rate %q", rec)
		}
		perOp += 1 / rate
	}
	return float64(len(records)-1) / perOp, nil
}

// redisMixed writes values of mixed sizes, some with an expiry, over keys that are overwritten and deleted, and
// checks what it reads.
func redisMixed(l *lab.Lab) runner.Case {
	ops := l.Amount(2000000, 80000, 3000)
	c := runner.Case{
		Name: "redis, mixed", Cost: time.Duration(ops) * 8 * time.Microsecond, Prepare: redisReady(l),
		About: "redis-server under one pipelining client: values of 16 B to 64 KiB overwritten, deleted, read back and compared; a third " +
			"expire within a second. The sizes' mean rises and falls during the run.",
		Metrics: append([]runner.Metric{throughput("op/s")}, append(l.SystemMetrics(), Waste)...),
	}
	c.Run = func(ctx context.Context, s subject.Subject) (runner.Sample, error) {
		r, err := startRedis(ctx, l, s)
		if err != nil {
			return runner.Sample{}, err
		}
		start := time.Now()
		if err := r.mixed(ctx, ops); err != nil {
			return runner.Sample{}, r.abandon(err)
		}
		return r.finish(float64(ops) / time.Since(start).Seconds())
	}
	return c
}

const (
	mixedKeys  = 20000
	mixedBatch = 100
)

func (r *redis) mixed(ctx context.Context, ops int) error {
	rng := rand.New(rand.NewPCG(1, 2))
	filler := bytes.Repeat([]byte("0123456789abcdef"), 4096)
	type expect struct{ get, key uint64 }
	for done := 0; done < ops && ctx.Err() == nil; done += mixedBatch {
		var sent []expect
		for range mixedBatch {
			key := rng.Uint64N(mixedKeys)
			name := fmt.Appendf(nil, "key:%d", key)
			switch rng.UintN(10) {
			case 0:
				r.send([]byte("DEL"), name)
				sent = append(sent, expect{0, key})
			case 1, 2, 3:
				r.send([]byte("GET"), name)
				sent = append(sent, expect{1, key})
			case 4, 5:
				r.send([]byte("SET"), name, mixedValue(rng, filler, key, done, ops), []byte("PX"), strconv.AppendUint(nil, 50+rng.Uint64N(950), 10))
				sent = append(sent, expect{0, key})
			default:
				r.send([]byte("SET"), name, mixedValue(rng, filler, key, done, ops))
				sent = append(sent, expect{0, key})
			}
		}
		if err := r.w.Flush(); err != nil {
			return err
		}
		for _, e := range sent {
			got, err := r.receive()
			if err != nil {
				return err
			}
			if e.get == 1 && got != nil && !isMixedValue(got, filler, e.key) {
				return fmt.Errorf("redis: the value of key %d is not what was written", e.key)
			}
		}
	}
	return ctx.Err()
}

// mixedValue: the key, then filler. Sizes of 16 B to 64 KiB, each doubling half as likely, four times as large in
// the middle of the run.
func mixedValue(rng *rand.Rand, filler []byte, key uint64, done, ops int) []byte {
	size := 16 << rng.UintN(8)
	for size < len(filler)/2 && rng.UintN(2) == 0 {
		size *= 2
	}
	if done > ops/3 && done < 2*ops/3 {
		size = min(size*4, len(filler))
	}
	v := binary.LittleEndian.AppendUint64(nil, key)
	return append(v, filler[:size-8]...)
}

func isMixedValue(v, filler []byte, key uint64) bool {
	return len(v) >= 16 && binary.LittleEndian.Uint64(v) == key && bytes.Equal(v[8:], filler[:len(v)-8])
}
