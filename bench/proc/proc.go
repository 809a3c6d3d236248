package proc

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vcmalloc/vcmalloc/bench/subject"
)

// Launcher starts programs through the compiled bench/load/launch.c at Path.
type Launcher struct{ Path string }

// Command is what to run. Argv is required; the rest has useful zero values.
type Command struct {
	Argv    []string
	Dir     string
	Env     []string // besides the bench's own environment
	Subject subject.Subject
	Stdin   io.Reader
	Stdout  io.Writer     // nil: Result.Stdout has it
	Stderr  io.Writer     // nil: quoted in the error
	Sample  time.Duration // between looks at its memory; 0: never
	Tree    bool          // sample its descendants too, shared pages counted once
	User    *syscall.Credential
}

// Process is a running command. Its methods are for one goroutine.
type Process struct {
	PID int

	name   string // of the program, for errors
	cmd    *exec.Cmd
	lines  *bufio.Scanner
	pipe   *os.File
	stdout *bytes.Buffer
	stderr *bytes.Buffer
	poll   *poller
}

// Counters of the hardware, over all threads of the program; NaN where one can't be had.
type Counters struct{ Cycles, Instructions, LLCLoads, LLCMisses, TLBMisses float64 }

// Result is what a finished command used.
type Result struct {
	Stdout                 []byte
	Wall, User, System     time.Duration
	PeakRSS                float64 // bytes, as the kernel keeps it: exact
	Minor, Major           float64 // page faults
	Voluntary, Involuntary float64 // context switches
	Counters               *Counters
	Memory                 *Memory
}

// Run starts the command and waits for it.
func (l *Launcher) Run(ctx context.Context, c Command) (*Result, error) {
	p, err := l.Start(ctx, c)
	if err != nil {
		return nil, err
	}
	return p.Wait()
}

// Start starts the command. It is killed when ctx is done, or when this process dies.
func (l *Launcher) Start(ctx context.Context, c Command) (*Process, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer w.Close()
	args := []string{"3"}
	var own []string
	for _, kv := range append(c.Subject.Environ(os.Environ()), c.Env...) {
		if strings.HasPrefix(kv, "LD_PRELOAD=") { // for the command alone, not for the launcher
			args = append(args, kv)
		} else {
			own = append(own, kv)
		}
	}
	args = append(append(args, "--"), c.Argv...)
	p := &Process{name: filepath.Base(c.Argv[0]), cmd: exec.CommandContext(ctx, l.Path, args...), pipe: r}
	p.cmd.Env, p.cmd.Dir, p.cmd.Stdin, p.cmd.ExtraFiles = own, c.Dir, c.Stdin, []*os.File{w}
	p.cmd.Stdout, p.cmd.Stderr = c.Stdout, c.Stderr
	if c.Stdout == nil {
		p.stdout = new(bytes.Buffer)
		p.cmd.Stdout = p.stdout
	}
	if c.Stderr == nil {
		p.stderr = new(bytes.Buffer)
		p.cmd.Stderr = p.stderr
	}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: c.User, Pdeathsig: syscall.SIGKILL}
	p.cmd.Cancel = func() error { return syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) }
	p.cmd.WaitDelay = 5 * time.Second
	if err := p.cmd.Start(); err != nil {
		r.Close()
		return nil, err
	}
	p.lines = bufio.NewScanner(r)
	if !p.lines.Scan() {
		err := p.cmd.Wait()
		return nil, errors.Join(fmt.Errorf("starting %s", c.Argv[0]), err)
	}
	if _, err := fmt.Sscanf(p.lines.Text(), "pid %d", &p.PID); err != nil {
		return nil, fmt.Errorf("launcher said %q: %w", p.lines.Text(), err)
	}
	if c.Sample > 0 {
		p.poll = watch(p.PID, c.Sample, c.Tree)
	}
	return p, nil
}

// Signal sends a signal to the command itself.
func (p *Process) Signal(sig syscall.Signal) error { return syscall.Kill(p.PID, sig) }

// Kill ends the command and all it started; for error paths.
func (p *Process) Kill() {
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	_, _ = p.Wait()
}

// Await calls try every 10 ms until it succeeds. It gives up with what try said last when the patience is over, and
// with what the command ended with when it has ended; either way nothing is left to Wait for or to Kill.
func (p *Process) Await(ctx context.Context, patience time.Duration, try func() error) error {
	var last error
	for end := time.Now().Add(patience); ctx.Err() == nil && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if last = try(); last == nil {
			return nil
		}
		if p.ended() {
			if _, err := p.Wait(); err != nil {
				return err
			}
			return fmt.Errorf("%s ended at once", p.name)
		}
	}
	p.Kill()
	return errors.Join(ctx.Err(), last)
}

// Abandon ends the command because of err, and adds to that what the command ended with if it had done so by itself.
func (p *Process) Abandon(err error) error {
	for range 50 { // a connection can break a moment before the process is gone
		if p.ended() {
			_, how := p.Wait()
			return errors.Join(how, err)
		}
		time.Sleep(2 * time.Millisecond)
	}
	p.Kill()
	return err
}

// ended tells whether the command has, and leaves its status for Wait.
func (p *Process) ended() bool {
	var info unix.Siginfo
	err := unix.Waitid(unix.P_PID, p.cmd.Process.Pid, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
	return err == nil && info.Signo != 0
}

// Look reads the command's memory now.
func (p *Process) Look() (Look, error) { return look(p.PID, false) }

// Wait waits for the end. An exit status other than 0 is an error.
func (p *Process) Wait() (*Result, error) {
	var done string
	if p.lines.Scan() {
		done = p.lines.Text()
	}
	err := p.cmd.Wait()
	p.pipe.Close()
	var mem *Memory
	if p.poll != nil {
		mem = p.poll.stop()
	}
	if err != nil {
		return nil, p.failure(err)
	}
	res, err := parseDone(done)
	if err != nil {
		return nil, err
	}
	res.Memory = mem
	if p.stdout != nil {
		res.Stdout = p.stdout.Bytes()
	}
	return res, nil
}

// failure is err in words: what ended how, and what it said last.
func (p *Process) failure(err error) error {
	var exit *exec.ExitError
	how := err.Error()
	if errors.As(err, &exit) && exit.ExitCode() > 128 { // the launcher's word for a signal
		sig := syscall.Signal(exit.ExitCode() - 128)
		how = fmt.Sprintf("killed by signal %d (%v)", int(sig), sig)
	}
	if p.stderr != nil && p.stderr.Len() > 0 {
		how += ": " + string(lastLines(p.stderr.Bytes()))
	}
	return fmt.Errorf("%s: %s", p.name, how)
}

func lastLines(b []byte) []byte {
	const keep = 500
	return bytes.TrimSpace(b[max(0, len(b)-keep):])
}

func parseDone(line string) (*Result, error) {
	f := strings.Fields(line)
	if len(f) < 10 || f[0] != "done" {
		return nil, fmt.Errorf("launcher said %q at the end", line)
	}
	v := make([]float64, len(f))
	for i := 1; i < len(f); i++ {
		x, err := strconv.ParseFloat(f[i], 64)
		if err != nil {
			x = nan
		}
		v[i] = x
	}
	res := &Result{
		Wall: time.Duration(v[2]), User: time.Duration(v[3]) * time.Microsecond, System: time.Duration(v[4]) * time.Microsecond,
		PeakRSS: v[5] * 1024, Minor: v[6], Major: v[7], Voluntary: v[8], Involuntary: v[9],
	}
	if len(f) >= 15 && v[10] == v[10] && v[11] == v[11] {
		res.Counters = &Counters{v[10], v[11], v[12], v[13], v[14]}
	}
	return res, nil
}
