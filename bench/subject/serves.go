package subject

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

var binding = regexp.MustCompile(`binding file (\S+) \[\d+\] to (\S+) \[\d+\]: normal symbol .malloc'`)

// Serves returns an error unless the program, run with the arguments (something that ends at once, such as
// --version), takes its malloc from s. A program that never calls malloc itself has nothing to show and passes.
func (s Subject) Serves(ctx context.Context, program string, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(s.Environ(os.Environ()), "LD_DEBUG=bindings", "LD_BIND_NOW=1")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	_ = cmd.Run() // the exit status of --version is its own affair
	to, ok := provider(out.Bytes(), program)
	if !ok {
		return nil
	}
	own := s.Preload[strings.LastIndexByte(s.Preload, ':')+1:] // a shim may stand before it
	if own != "" && !sameFile(to, own) {
		return fmt.Errorf("%s under %s takes malloc from %s", program, s.Name, to)
	}
	return nil
}

// provider finds in the loader's debug output which object the program's malloc was bound to.
func provider(output []byte, program string) (string, bool) {
	for _, m := range binding.FindAllSubmatch(output, -1) {
		if filepath.Base(string(m[1])) == filepath.Base(program) {
			return string(m[2]), true
		}
	}
	return "", false
}

func sameFile(a, b string) bool {
	fa, errA := os.Stat(a)
	fb, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(fa, fb)
}
