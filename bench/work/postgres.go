package work

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/vcmalloc/vcmalloc/bench/lab"
	"github.com/vcmalloc/vcmalloc/bench/proc"
	"github.com/vcmalloc/vcmalloc/bench/runner"
	"github.com/vcmalloc/vcmalloc/bench/subject"
)

var (
	tps       = regexp.MustCompile(`tps = ([0-9.]+)`)
	processed = regexp.MustCompile(`number of transactions actually processed: ([0-9]+)`)
)

// pg is one PostgreSQL cluster: each subject gets a fresh copy of the same one, so that none inherits another's
// bloat.
type pg struct {
	l        *lab.Lab
	bin      string
	template string
	scale    int
	cred     *syscall.Credential
}

// postgres is pgbench over a unix socket. The server refuses to run as root, and then runs as "postgres" or
// "nobody".
func postgres(l *lab.Lab) runner.Case {
	p := &pg{l: l, scale: lab.Pick(l.Size, 10, 2, 1)}
	txs := l.Amount(4000, 250, 20)
	c := runner.Case{
		Name: "postgres", Cost: 900*time.Millisecond + time.Duration(txs)*2800*time.Microsecond, Prepare: p.prepare, Cleanup: p.cleanup,
		About: "PostgreSQL with pgbench (TPC-B-like, 8 clients over a unix socket, fsync off); the balances must agree at the end. Memory is that " +
			"of all its processes, shared pages counted once.",
		Metrics: append([]runner.Metric{throughput("tps")}, l.SystemMetrics()...),
	}
	c.Run = func(ctx context.Context, s subject.Subject) (runner.Sample, error) {
		return p.run(ctx, s, txs)
	}
	return c
}

func (p *pg) prepare(ctx context.Context) error {
	all, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	if len(all) == 0 {
		return errors.New("PostgreSQL is not installed (package postgresql-15; `go run ./bench setup`)")
	}
	p.bin = all[len(all)-1]
	if os.Getuid() == 0 {
		for _, name := range []string{"postgres", "nobody"} {
			if u, err := user.Lookup(name); err == nil {
				uid, _ := strconv.Atoi(u.Uid)
				gid, _ := strconv.Atoi(u.Gid)
				p.cred = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
				break
			}
		}
	}
	p.template = filepath.Join(os.TempDir(), fmt.Sprintf("vcb-pg-template-%d-%d", os.Getpid(), p.scale))
	if err := os.RemoveAll(p.template); err != nil {
		return err
	}
	if err := p.tool(ctx, "initdb", "-D", p.template, "-A", "trust", "-U", "bench", "--no-sync", "--locale=C", "-E", "UTF8"); err != nil {
		return err
	}
	srv, err := p.start(ctx, p.template, subject.Glibc())
	if err != nil {
		return err
	}
	err = p.tool(ctx, "pgbench", "-h", p.template, "-U", "bench", "-i", "-q", "-s", fmt.Sprint(p.scale), "postgres")
	_, stopErr := srv.stop()
	return errors.Join(err, stopErr)
}

func (p *pg) cleanup() {
	if p.template != "" {
		os.RemoveAll(p.template)
	}
}

// tool runs one of PostgreSQL's programs as its user.
func (p *pg) tool(ctx context.Context, name string, args ...string) error {
	_, err := p.output(ctx, name, args...)
	return err
}

func (p *pg) output(ctx context.Context, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(p.bin, name), args...)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.cred}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", name, err, out)
	}
	return string(out), nil
}

type pgServer struct{ p *proc.Process }

func (p *pg) start(ctx context.Context, dir string, s subject.Subject) (*pgServer, error) {
	srv, err := p.l.Launch.Start(ctx, proc.Command{
		Argv: []string{filepath.Join(p.bin, "postgres"), "-D", dir, "-k", dir, "-c", "listen_addresses=", "-c", "fsync=off",
			"-c", "shared_buffers=64MB", "-c", "autovacuum=off", "-c", "max_connections=20", "-c", "logging_collector=off"},
		Dir: "/", Subject: s, Sample: interval(p.l), Tree: true, User: p.cred,
	})
	if err != nil {
		return nil, err
	}
	err = srv.Await(ctx, 30*time.Second, func() error {
		return p.tool(ctx, "pg_isready", "-h", dir, "-U", "bench", "-d", "postgres")
	})
	return &pgServer{srv}, err
}

func (s *pgServer) stop() (*proc.Result, error) {
	_ = s.p.Signal(syscall.SIGINT) // fast shutdown
	return s.p.Wait()
}

func (p *pg) run(ctx context.Context, s subject.Subject, txs int) (runner.Sample, error) {
	dir := p.template + "-run"
	if err := errors.Join(os.RemoveAll(dir), exec.CommandContext(ctx, "cp", "-a", p.template, dir).Run()); err != nil {
		return runner.Sample{}, err
	}
	defer os.RemoveAll(dir)
	srv, err := p.start(ctx, dir, s)
	if err != nil {
		return runner.Sample{}, err
	}
	out, err := p.output(ctx, "pgbench", "-h", dir, "-U", "bench", "-n", "-c", "8", "-j", "1", "-t", fmt.Sprint(txs),
		"--random-seed=1", "postgres")
	if err == nil {
		var agree string
		agree, err = p.output(ctx, "psql", "-h", dir, "-U", "bench", "-At", "-c", "SELECT (SELECT sum(abalance) FROM pgbench_accounts) = "+
			"(SELECT sum(bbalance) FROM pgbench_branches) AND (SELECT count(*) FROM pgbench_history) = "+fmt.Sprint(8*txs), "postgres")
		if err == nil && strings.TrimSpace(agree) != "t" {
			err = fmt.Errorf("the balances do not agree: %q", agree)
		}
	}
	res, stopErr := srv.stop()
	if err := errors.Join(err, stopErr); err != nil {
		return runner.Sample{}, err
	}
	rate, n := tps.FindStringSubmatch(out), processed.FindStringSubmatch(out)
	if rate == nil || n == nil || n[1] != fmt.Sprint(8*txs) {
		return runner.Sample{}, fmt.Errorf("pgbench printed %q", out)
	}
	v, err := strconv.ParseFloat(rate[1], 64)
	if err != nil {
		return runner.Sample{}, err
	}
	f := map[string]float64{Throughput: v}
	lab.Account(f, res)
	if m := res.Memory; m != nil { // the kernel's peak is the largest single process's
		f[lab.PeakRSS.Name] = m.PeakRSS / (1 << 20)
	}
	return runner.Sample{Figures: f, Line: lab.Line(res)}, nil
}
