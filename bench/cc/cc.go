package cc

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"sync"
)

// Compiler builds from Source (bench/load) into Out. It is safe for concurrent use.
type Compiler struct {
	Source, Out string

	mu sync.Mutex
}

// Program compiles a generator, such as "micro.cc", and returns the binary's path.
func (c *Compiler) Program(ctx context.Context, file string, flags ...string) (string, error) {
	return c.build(ctx, file, "", append([]string{"-pthread"}, flags...))
}

// Shared compiles a shared object to preload.
func (c *Compiler) Shared(ctx context.Context, file string, flags ...string) (string, error) {
	return c.build(ctx, file, ".so", append([]string{"-shared", "-fPIC", "-ftls-model=initial-exec"}, flags...))
}

func (c *Compiler) build(ctx context.Context, file, suffix string, flags []string) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	source := filepath.Join(c.Source, file)
	compiler, standard := "gcc", "-std=gnu11"
	if strings.HasSuffix(file, ".cc") {
		compiler, standard = "g++", "-std=c++17"
	}
	// -fno-builtin: the compiler knows malloc and would remove pairs of calls whose result it does not need.
	args := []string{standard, "-O2", "-g", "-Wall", "-Wextra", "-fno-builtin", "-fno-omit-frame-pointer"}
	args = append(args, source)
	args = append(args, flags...)
	sum, err := c.hash(compiler, args)
	if err != nil {
		return "", err
	}
	base := strings.TrimSuffix(file, filepath.Ext(file))
	out := filepath.Join(c.Out, base+"-"+sum+suffix)
	if _, err := os.Stat(out); err == nil {
		return out, nil
	}
	if err := os.MkdirAll(c.Out, 0o755); err != nil {
		return "", err
	}
	part := fmt.Sprintf("%s.%d.part", out, os.Getpid())
	cmd := exec.CommandContext(ctx, compiler, append(args, "-o", part)...)
	var text bytes.Buffer
	cmd.Stdout, cmd.Stderr = &text, &text
	if err := cmd.Run(); err != nil {
		os.Remove(part)
		return "", fmt.Errorf("compiling %s: %w\n%s(needs the packages of `go run ./bench setup`)", file, err, text.Bytes())
	}
	return out, os.Rename(part, out)
}

// hash of the command and of every file in the source directory: headers are few, and compiling is quick.
func (c *Compiler) hash(compiler string, args []string) (string, error) {
	h := sha256.New()
	fmt.Fprintln(h, compiler, args)
	files, err := filepath.Glob(filepath.Join(c.Source, "*.h"))
	if err != nil {
		return "", err
	}
	for _, a := range args {
		if strings.HasPrefix(a, c.Source) {
			files = append(files, a)
		}
	}
	sort.Strings(files)
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			return "", err
		}
		h.Write(b)
	}
	return hex.EncodeToString(h.Sum(nil))[:10], nil
}
