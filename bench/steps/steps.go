package steps

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"github.com/vcmalloc/vcmalloc/bench/subject"
)

// Counts of one run: the mean number of instructions of a call, its call instruction and PLT included.
type Counts struct {
	Malloc, Free float64
	Sequences    int // restartable sequences that were walked
}

// Count runs binary (bench/load/steps.c) under s: rounds of live mallocs and live frees.
func Count(ctx context.Context, binary string, s subject.Subject, size, live, rounds int) (Counts, error) {
	type result struct {
		c   Counts
		err error
	}
	out := make(chan result, 1)
	go func() {
		// Never unlocked: ptrace belongs to the thread, and the thread ends with the goroutine.
		runtime.LockOSThread()
		c, err := count(ctx, binary, s, size, live, rounds)
		out <- result{c, err}
	}()
	r := <-out
	return r.c, r.err
}

func count(ctx context.Context, binary string, s subject.Subject, size, live, rounds int) (c Counts, err error) {
	cmd := exec.Command(binary, fmt.Sprint(size), fmt.Sprint(live), fmt.Sprint(rounds))
	cmd.Env = s.Environ(os.Environ())
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true}
	if err := cmd.Start(); err != nil {
		return c, fmt.Errorf("no tracing here: %w", err)
	}
	defer context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })() // a malloc that hangs
	t := &tracer{pid: cmd.Process.Pid}
	ended := false
	defer func() {
		if !ended { // an error: nothing else leaves it alive
			_ = cmd.Process.Kill()
			var ws syscall.WaitStatus
			_, _ = syscall.Wait4(t.pid, &ws, 0, nil)
		}
		_ = cmd.Process.Release()
	}()
	if _, err := t.wait(); err != nil { // it stops at its exec
		return c, err
	}
	var sum [2]float64
	calls := 0
	for ; ; calls++ {
		if err := ctx.Err(); err != nil {
			return c, err
		}
		// To the mark before the call…
		if ended, err = t.resume(); err != nil || ended {
			break
		}
		kind := calls / live % 2 // 0: malloc
		if calls == 0 {
			regs, err := t.regs()
			if err != nil {
				return c, err
			}
			t.area = regs.Rax
		}
		// …step by step to the one behind it…
		n, err := t.toMark()
		if err != nil {
			return c, err
		}
		sum[kind] += float64(n)
		// …and over that.
		if ended, err = t.resume(); err != nil || ended {
			return c, errors.Join(err, errors.New("the program ended between two marks"))
		}
	}
	if err != nil {
		return c, err
	}
	if calls != 2*live*rounds {
		return c, fmt.Errorf("%d marked calls, want %d", calls, 2*live*rounds)
	}
	each := float64(live * rounds)
	return Counts{sum[0] / each, sum[1] / each, t.sequences}, nil
}
