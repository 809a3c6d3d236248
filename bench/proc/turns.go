package proc

import (
	"context"
	"math"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Turns is how one of several commands that ran in turns ended, and when it ran.
type Turns struct {
	Result *Result // nil if there is an error
	Err    error

	from, to []int64 // nanoseconds of the monotonic clock
}

// Ran is for how many nanoseconds between two of the monotonic clock's the command was not stopped.
func (t *Turns) Ran(from, to int64) (sum int64) {
	for i := range t.from {
		sum += max(min(to, t.to[i])-max(from, t.from[i]), 0)
	}
	return sum
}

// RunInTurns starts all commands, and until they have ended lets each run for a turn while the others are stopped
// (SIGSTOP). Of each it is its own process that is stopped, not others that it starts. Where a command has Sample its
// memory is looked at after each of its turns, when nothing moves, and the looks' times are those it had run. The rest
// is as Run.
func (l *Launcher) RunInTurns(ctx context.Context, turn time.Duration, commands []Command) []Turns {
	out := make([]Turns, len(commands))
	running := make([]*Process, len(commands))
	looks := make([][]Look, len(commands))
	left := 0
	for i, c := range commands {
		c.Sample = 0
		out[i].from = append(out[i].from, monotonic())
		p, err := l.Start(ctx, c)
		if err != nil {
			out[i].Err = err
			continue
		}
		_ = p.Signal(syscall.SIGSTOP)
		out[i].to = append(out[i].to, monotonic())
		running[i] = p
		left++
	}
	for left > 0 {
		for i, p := range running {
			if p == nil {
				continue
			}
			out[i].from = append(out[i].from, monotonic())
			_ = p.Signal(syscall.SIGCONT)
			ended := p.within(turn)
			if !ended {
				_ = p.Signal(syscall.SIGSTOP)
			}
			out[i].to = append(out[i].to, monotonic())
			if c := &commands[i]; c.Sample > 0 && !ended {
				if l, err := look(p.PID, c.Tree); err == nil && l.RSS > 0 {
					l.At = time.Duration(out[i].Ran(0, math.MaxInt64))
					looks[i] = append(looks[i], l)
				} else {
					ended = p.within(time.Second) // it ended as the turn did: what is stopped has memory
				}
			}
			if ended || ctx.Err() != nil { // then they are killed
				if out[i].Result, out[i].Err = p.Wait(); out[i].Err == nil && commands[i].Sample > 0 {
					out[i].Result.Memory = summarise(looks[i])
				}
				running[i] = nil
				left--
			}
		}
	}
	return out
}

// within waits for the command's end, at most so long, and tells whether it came.
func (p *Process) within(d time.Duration) bool {
	for end := time.Now().Add(d); ; time.Sleep(min(5*time.Millisecond, time.Until(end))) {
		if p.ended() {
			return true
		}
		if !time.Now().Before(end) {
			return false
		}
	}
}

func monotonic() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		panic(err) // there is no Linux without it
	}
	return t.Nano()
}
