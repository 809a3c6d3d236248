package rtfree

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
)

// barrierLine is how the compiler reports a write barrier under -d=wb=1.
var barrierLine = regexp.MustCompile(`^(\S+:\d+:\d+): write barrier$`)

// checkBarriers asks the compiler for the write barriers of the core packages. The go command replays the
// compiler's output from its cache.
func (p *prover) checkBarriers() error {
	args := []string{"build", "-o", os.DevNull}
	if len(p.cfg.Core) > 1 { // several packages: only main packages would be written
		args = []string{"build"}
	}
	args = append(args, p.cfg.BuildFlags...)
	for _, pkg := range p.cfg.Core {
		args = append(args, "-gcflags="+pkg+"=-d=wb=1")
	}
	cmd := exec.Command("go", append(args, p.cfg.Core...)...)
	cmd.Dir = p.cfg.Dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("rtfree: go %s: %w\n%s", strings.Join(cmd.Args[1:], " "), err, out)
	}
	pkg := ""
	for line := range bytes.Lines(out) {
		text := strings.TrimSpace(string(line))
		if name, ok := strings.CutPrefix(text, "# "); ok {
			pkg = name
		}
		if m := barrierLine.FindStringSubmatch(text); m != nil {
			p.violation(Violation{Kind: WriteBarrier, What: "a pointer is stored in " + pkg, Where: m[1]}, m[1])
		}
	}
	return nil
}
