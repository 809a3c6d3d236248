package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vcmalloc/vcmalloc/bench/lab"
	"github.com/vcmalloc/vcmalloc/bench/report"
	"github.com/vcmalloc/vcmalloc/bench/runner"
	"github.com/vcmalloc/vcmalloc/bench/subject"
)

// options of the command line.
type options struct {
	quick, tiny, quiet bool
	estimate           bool
	lib, out, baseline string
	peers, allocators  []string
	only, traces       []string
	rounds             int
	budget             time.Duration
}

func command() *cobra.Command {
	o := &options{}
	root := &cobra.Command{
		Use:           "bench",
		Short:         "Characterises malloc implementations and compares them",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	f := root.PersistentFlags()
	f.BoolVar(&o.quick, "quick", false, "small inputs and few rounds: a suite within 5 minutes on 2 cores, all within 15")
	f.BoolVar(&o.tiny, "tiny", false, "only to see whether bench itself works: the figures mean nothing")
	f.BoolVar(&o.estimate, "estimate", false, "run nothing: say what would run, and about how long it takes")
	f.BoolVar(&o.quiet, "no-progress", false, "no progress bar")
	f.StringVar(&o.lib, "lib", "build/libvcmalloc.so", "our library")
	f.StringVar(&o.out, "out", "build/bench/report", "directory for report.json and report.html")
	f.StringVar(&o.baseline, "baseline", "glibc", "the allocator that ratios are to")
	f.StringArrayVar(&o.peers, "peer", nil, "another allocator, as name=path.so; may be repeated")
	f.StringSliceVar(&o.allocators, "allocators", nil, "only these, by name; the baseline is always among them")
	f.StringArrayVar(&o.only, "only", nil, "only cases whose name contains one of these words (a list, or repeated); in `designs`, a design's name chooses the design")
	f.StringArrayVar(&o.traces, "trace", nil, "replay this file of `bench record` in fleet; may be repeated")
	f.IntVar(&o.rounds, "rounds", 0, "rounds per case (default 11, with --quick 7)")
	f.DurationVar(&o.budget, "budget", 0, "a case stops after this time, but not before 3 rounds (default 5m, with --quick 15s)")
	root.AddCommand(setupCommand())
	for _, s := range suites {
		root.AddCommand(&cobra.Command{
			Use: s.name, Short: s.short, Args: cobra.NoArgs,
			RunE: func(c *cobra.Command, _ []string) error { return run(c.Context(), o, []builder{s.build}) },
		})
	}
	root.AddCommand(&cobra.Command{
		Use: "all", Short: "All suites, one report", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var b []builder
			for _, s := range suites {
				b = append(b, s.build)
			}
			return run(c.Context(), o, b)
		},
	})
	root.AddCommand(showCommand(), recordCommand(), goCommand(o))
	return root
}

func (o *options) size() lab.Size {
	switch {
	case o.tiny:
		return lab.Tiny
	case o.quick:
		return lab.Quick
	}
	return lab.Full
}

func (o *options) plan() runner.Plan {
	s := o.size()
	p := runner.Plan{
		Rounds:    lab.Pick(s, 11, 7, 3),
		MinRounds: 3,
		Warmup:    lab.Pick(s, 1, 1, 0),
		Budget:    lab.Pick(s, 5*time.Minute, 15*time.Second, 15*time.Second),
	}
	// Where time allows, what is short is measured until it is known to 2 %.
	p.Width, p.MaxRounds, p.Stretch = 0.02, 51, lab.Pick(s, 30*time.Second, 0, 0)
	if s == lab.Quick && len(o.only) > 0 {
		p.Stretch = 10 * time.Second
	}
	if o.rounds > 0 {
		p.Rounds, p.Stretch = o.rounds, 0
	}
	if o.budget > 0 {
		p.Budget = o.budget
	}
	return p
}

// prepare makes the lab with the subjects of the command line.
func (o *options) prepare(ctx context.Context) (*lab.Lab, error) {
	root, err := lab.Root()
	if err != nil {
		return nil, err
	}
	l, err := lab.New(ctx, root, o.size())
	if err != nil {
		return nil, err
	}
	all := []subject.Subject{subject.Glibc()}
	path := o.lib
	if path == "build/libvcmalloc.so" {
		path = filepath.Join(root, path)
		if err := build(ctx, root, path); err != nil {
			return nil, err
		}
	}
	// A copy: `make` in another window must not exchange the library between two rounds.
	if l.Ours, err = snapshot(path, filepath.Join(l.Work, "lib")); err != nil {
		return nil, err
	}
	all = append(all, l.Ours)
	have, missing := subject.Installed()
	all = append(all, have...)
	if len(missing) > 0 {
		fmt.Fprintf(os.Stderr, "bench: peers left out, their packages are missing: %s (`go run ./bench setup`)\n", strings.Join(missing, " "))
	}
	for _, p := range o.peers {
		s, err := subject.Parse(p)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	names := o.allocators
	if len(names) > 0 {
		names = append(names, o.baseline)
	}
	if l.Subjects, err = subject.Select(all, names); err != nil {
		return nil, err
	}
	if _, err := subject.Select(l.Subjects, []string{o.baseline}); err != nil {
		return nil, err
	}
	l.Baseline, l.Traces, l.Only = o.baseline, o.traces, o.only
	return l, nil
}

// build makes our library if it is not there. One that is there is taken as it is.
func build(ctx context.Context, root, path string) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	fmt.Fprintln(os.Stderr, "bench: building the library (make lib)")
	cmd := exec.CommandContext(ctx, "make", "-C", root, "lib")
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("make lib: %w", err)
	}
	return nil
}

func snapshot(path, dir string) (subject.Subject, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return subject.Subject{}, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return subject.Subject{}, err
	}
	to := filepath.Join(dir, "libvcmalloc.so")
	if err := os.WriteFile(to+".part", b, 0o755); err != nil {
		return subject.Subject{}, err
	}
	if err := os.Rename(to+".part", to); err != nil {
		return subject.Subject{}, err
	}
	return subject.Library(to)
}

func run(ctx context.Context, o *options, build []builder) error {
	start := time.Now()
	l, err := o.prepare(ctx)
	if err != nil {
		return err
	}
	if !o.estimate { // suites ask what the machine has
		if err := l.Machine.Probe(ctx, l.CC); err != nil {
			return err
		}
	}
	todo, err := o.suites(ctx, l, build)
	if err != nil {
		return err
	}
	r := runner.Runner{Plan: o.plan(), Timeout: lab.Pick(o.size(), 15*time.Minute, 90*time.Second, 20*time.Second)}
	if o.estimate {
		estimate(&r, todo)
		return nil
	}
	if !o.quiet {
		r.Out = os.Stderr
	}
	done, runErr := r.Run(ctx, todo)
	rep := &report.Report{
		Command: "go run ./bench " + strings.Join(os.Args[1:], " "), Date: start.Format(time.RFC3339),
		Seconds: time.Since(start).Seconds(), Quick: o.size() != lab.Full, Machine: l.Machine, Suites: done,
	}
	if errors.Is(runErr, context.Canceled) {
		runErr = errors.New("interrupted: the report has the cases that were done")
	}
	return errors.Join(publish(rep, o.out), runErr, rep.Failures())
}

// suites builds those that the command line asks for, with their cases.
func (o *options) suites(ctx context.Context, l *lab.Lab, build []builder) ([]runner.Suite, error) {
	var all []runner.Suite
	for _, b := range build {
		s, err := b(ctx, l)
		if err != nil {
			return nil, err
		}
		all = append(all, s...)
	}
	for _, s := range all {
		if s.Plan == nil {
			continue
		}
		if o.rounds > 0 {
			s.Plan.Rounds = o.rounds
		}
		if o.budget > 0 {
			s.Plan.Budget = o.budget
		}
	}
	return choose(all, o.only)
}

// estimate says what the suites would take.
func estimate(r *runner.Runner, todo []runner.Suite) {
	var all time.Duration
	for i := range todo {
		s := &todo[i]
		t := r.Estimate(s)
		all += t
		fmt.Printf("%-20s %3d cases x %d subjects, about %v\n", s.Name, len(s.Cases), len(s.Subjects), t.Round(time.Second))
	}
	fmt.Printf("%-20s about %v, more where cases stretch to narrow their intervals\n", "all", all.Round(time.Second))
}

// publish prints the report and writes its files.
func publish(rep *report.Report, dir string) error {
	rep.WriteText(os.Stdout)
	if err := rep.Save(dir); err != nil {
		return err
	}
	fmt.Printf("\n%.0f s; %s and %s\n", rep.Seconds, filepath.Join(dir, "report.json"), filepath.Join(dir, "report.html"))
	return nil
}
