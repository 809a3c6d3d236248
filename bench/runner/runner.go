package runner

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/vcmalloc/vcmalloc/bench/report"
	"github.com/vcmalloc/vcmalloc/bench/stat"
	"github.com/vcmalloc/vcmalloc/bench/subject"
)

// Metric describes one figure that a case's runs return.
type Metric struct {
	Name, Unit string
	Direction  stat.Direction
	Main       bool
}

// Sample is what one run returns: figures by metric name, and what is recorded beside them.
type Sample struct {
	Figures map[string]float64
	Line    *report.Line  // memory over time; the last round's is kept
	Plots   []report.Plot // the last round's are kept, per subject and title
}

// Case is one thing to measure. Run is called once per subject and round and must not leave processes behind.
type Case struct {
	Name, Group, About string
	Metrics            []Metric
	Cost               time.Duration // of one run, estimated: for the progress bar
	Prepare            func(context.Context) error
	Run                func(context.Context, subject.Subject) (Sample, error)
	// Together does what Run does for several subjects, in turns that are short, so that all meet the same machine. It
	// returns a sample or an error for each. nil: there is no such way.
	Together func(context.Context, []subject.Subject) ([]Sample, []error)
	Cleanup  func() // after the last run, also of a case that failed; may be nil
	Rounds   int    // 0: the plan's
	NoWarmup bool
	Optional bool // runs only where --only names it
}

// Suite is what to measure: cases for subjects against a baseline.
type Suite struct {
	Name, Title, About string
	Notes              []string
	Baseline           string
	Subjects           []subject.Subject
	Cases              []Case
	Plan               *Plan // nil: the runner's
	// Together has the cases that can run all subjects of a round at once, in turns.
	Together bool
	// Chosen are the words of --only that chose this suite or its subjects. They choose no cases of it.
	Chosen []string
	// Finish adds tables and notes once all is measured and judged. May be nil.
	Finish func(*report.Suite)
}

// Plan says how often. A case that has used up Budget stops after the round it is in, but not before MinRounds.
//
// A case that is done with its rounds before Stretch has passed goes on, while the interval of a main ratio reaches
// further than Width to either side, up to MaxRounds. It is the width that decides, whatever the ratio is: to go on
// until there is a difference would find one everywhere.
type Plan struct {
	Rounds, MinRounds, Warmup int
	Budget                    time.Duration
	Stretch                   time.Duration
	Width                     float64
	MaxRounds                 int
}

// Runner runs suites and shows progress on Out (nil: none).
type Runner struct {
	Plan    Plan
	Timeout time.Duration // of one run: far beyond what any should take, so that one that hangs ends. 0: none
	Out     io.Writer

	bar   *progressbar.ProgressBar
	lines bool // instead of the bar
}

// Run measures all suites in turn.
func (r *Runner) Run(ctx context.Context, suites []Suite) ([]*report.Suite, error) {
	r.start(suites)
	var out []*report.Suite
	for i := range suites {
		s, err := r.suite(ctx, &suites[i])
		if s != nil {
			out = append(out, s)
		}
		if err != nil {
			return out, err
		}
	}
	if r.bar != nil {
		_ = r.bar.Finish()
		fmt.Fprintln(r.Out)
	}
	return out, nil
}

func (r *Runner) suite(ctx context.Context, s *Suite) (*report.Suite, error) {
	out := &report.Suite{
		Name: s.Name, Title: s.Title, About: s.About, Notes: s.Notes, Baseline: s.Baseline, Subjects: s.Subjects,
	}
	for i := range s.Cases {
		r.began(s.Name, s.Cases[i].Name)
		c, err := r.measure(ctx, s, &s.Cases[i])
		if err != nil {
			return out, err
		}
		out.Cases = append(out.Cases, c)
	}
	out.Judge()
	if s.Finish != nil {
		s.Finish(out)
	}
	return out, nil
}

// measure returns an error only when ctx has ended: a case that can't be prepared has failed for all.
func (r *Runner) measure(ctx context.Context, s *Suite, c *Case) (*report.Case, error) {
	out := &report.Case{Name: c.Name, Group: c.Group, About: c.About, Failed: map[string]string{}}
	for _, m := range c.Metrics {
		out.Metrics = append(out.Metrics, &report.Metric{
			Name: m.Name, Unit: m.Unit, Direction: m.Direction, Main: m.Main, Values: map[string]report.Values{},
		})
	}
	plan := r.plan(s)
	rounds, warmup := plan.rounds(c)
	left := (rounds + warmup) * len(s.Subjects)
	defer func() { r.skip(c, left) }()
	if c.Cleanup != nil {
		defer c.Cleanup()
	}
	if c.Prepare != nil {
		r.describe(s.Name, c.Name, "preparing")
		if err := c.Prepare(ctx); err != nil {
			for _, sub := range s.Subjects {
				out.Failed[sub.Name] = "not prepared: " + err.Error()
			}
			return out, ctx.Err()
		}
	}
	start := time.Now()
	defer func() { out.Seconds = time.Since(start).Seconds() }()
	for round := -warmup; round < rounds || plan.stretches(round, time.Since(start)) && c.Rounds == 0 && wide(out, s.Baseline, plan.Width); round++ {
		if round >= plan.MinRounds && plan.Budget > 0 && time.Since(start) > plan.Budget {
			break
		}
		var order []subject.Subject
		for i := range s.Subjects {
			if sub := s.Subjects[(i+round+warmup)%len(s.Subjects)]; out.Failed[sub.Name] == "" {
				order = append(order, sub)
			}
		}
		step := func(n int) {
			n = min(n, left) // not past the plan
			left -= n
			r.skip(c, n)
		}
		step(len(s.Subjects) - len(order))
		for len(order) > 0 {
			n := 1
			if s.Together && c.Together != nil {
				n = len(order)
			}
			r.describe(s.Name, c.Name, strings.Join(subject.Names(order[:n]), ", "))
			samples, errs := r.run(ctx, c, order[:n])
			if ctx.Err() != nil {
				return out, ctx.Err()
			}
			for i, sub := range order[:n] {
				if errs[i] != nil {
					out.Failed[sub.Name] = errs[i].Error()
				} else if round >= 0 {
					keep(out, sub.Name, round, samples[i])
				}
			}
			order = order[n:]
			step(n)
		}
		out.Rounds = max(round+1, 0)
	}
	return out, nil
}

// run has one subject run, or several together.
func (r *Runner) run(ctx context.Context, c *Case, subs []subject.Subject) ([]Sample, []error) {
	limited, timeout := ctx, r.Timeout*time.Duration(len(subs))
	if timeout > 0 {
		var cancel context.CancelFunc
		limited, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	var samples []Sample
	var errs []error
	if len(subs) > 1 {
		samples, errs = c.Together(limited, subs)
	} else {
		sample, err := c.Run(limited, subs[0])
		samples, errs = []Sample{sample}, []error{err}
	}
	for i := range errs {
		if errs[i] != nil && limited.Err() != nil {
			errs[i] = fmt.Errorf("not done after %v: %w", timeout, errs[i])
		}
	}
	return samples, errs
}

// With is the case under subjects that change makes of the plan's.
func (c Case) With(change func(subject.Subject) subject.Subject) Case {
	run, together := c.Run, c.Together
	c.Run = func(ctx context.Context, s subject.Subject) (Sample, error) { return run(ctx, change(s)) }
	if together != nil {
		c.Together = func(ctx context.Context, subs []subject.Subject) ([]Sample, []error) {
			changed := make([]subject.Subject, len(subs))
			for i := range subs {
				changed[i] = change(subs[i])
			}
			return together(ctx, changed)
		}
	}
	return c
}

func (r *Runner) plan(s *Suite) *Plan {
	if s.Plan != nil {
		return s.Plan
	}
	return &r.Plan
}

func (p *Plan) rounds(c *Case) (rounds, warmup int) {
	rounds, warmup = p.Rounds, p.Warmup
	if c.Rounds > 0 {
		rounds = min(c.Rounds, rounds)
	}
	if c.NoWarmup {
		warmup = 0
	}
	return rounds, warmup
}

func (p *Plan) stretches(round int, spent time.Duration) bool {
	return round < p.MaxRounds && spent < p.Stretch
}

// wide tells whether a ratio of a main metric is known less exactly than to width.
func wide(c *report.Case, baseline string, width float64) bool {
	for _, m := range c.Metrics {
		for name, v := range m.Values {
			if !m.Main || name == baseline || c.Failed[name] != "" {
				continue
			}
			r := stat.Spread(stat.Ratios(m.Values[baseline], v))
			if r.N > 0 && max(r.High-r.Median, r.Median-r.Low) > width*r.Median {
				return true
			}
		}
	}
	return false
}

func keep(out *report.Case, name string, round int, s Sample) {
	for _, m := range out.Metrics {
		v := m.Values[name]
		for len(v) <= round {
			v = append(v, nan)
		}
		if x, ok := s.Figures[m.Name]; ok {
			v[round] = x
		}
		m.Values[name] = v
	}
	keepPlots(out, name, s.Plots)
	if s.Line == nil {
		return
	}
	s.Line.Subject = name
	for i := range out.Lines {
		if out.Lines[i].Subject == name {
			out.Lines[i] = *s.Line
			return
		}
	}
	out.Lines = append(out.Lines, *s.Line)
}

// keepPlots puts the subject's plots in the place of those of the round before.
func keepPlots(out *report.Case, name string, plots []report.Plot) {
	for _, p := range plots {
		p.Subject = name
		i := slices.IndexFunc(out.Plots, func(q report.Plot) bool { return q.Subject == name && q.Title == p.Title })
		if i < 0 {
			out.Plots = append(out.Plots, p)
		} else {
			out.Plots[i] = p
		}
	}
}
