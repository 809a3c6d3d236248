package ctest

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// program is one C or C++ source with the directives of its leading comment.
type program struct {
	path     string // below the package folder
	name     string // file name; unique within its folder
	only     string
	runs     []string
	longRuns []string
	norseq   []string
	env      []string
	needs    []string
	linkLibs []string
	link     []string
	cflags   []string
	expect   *regexp.Regexp
	timeout  time.Duration
	serial   bool
	norun    bool
}

const defaultTimeout = 60 * time.Second

// programs parses every source of a folder, sorted by name.
func programs(t *testing.T, folder string) []*program {
	t.Helper()
	var all []*program
	for _, pattern := range []string{"*.c", "*.cc"} {
		paths, err := filepath.Glob(filepath.Join(folder, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			p, err := parseProgram(path, string(text))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, p)
		}
	}
	slices.SortFunc(all, func(a, b *program) int { return strings.Compare(a.name, b.name) })
	if len(all) == 0 {
		t.Fatalf("no programs in %s", folder)
	}
	return all
}

var directive = regexp.MustCompile(`^// ([a-z][a-z-]*):(?: (.*))?$`)

// parseProgram reads the directives of the leading comment. A line of prose may hold a colon: only a
// known key at the start of a line counts, and a misspelt key at the comment's end would silently be
// prose, so that keys are checked against the words that prose may not begin with.
func parseProgram(path, text string) (*program, error) {
	p := &program{path: path, name: filepath.Base(path), timeout: defaultTimeout}
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if !strings.HasPrefix(line, "//") {
			break
		}
		m := directive.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		key, value := m[1], strings.TrimSpace(m[2])
		var err error
		switch key {
		case "only":
			p.only = value
		case "run":
			p.runs = append(p.runs, value)
		case "long":
			p.longRuns = append(p.longRuns, value)
		case "norseq":
			p.norseq = append(p.norseq, value)
		case "env":
			p.env = append(p.env, strings.Fields(value)...)
		case "needs":
			p.needs = append(p.needs, strings.Fields(value)...)
		case "link-lib":
			p.linkLibs = append(p.linkLibs, strings.Fields(value)...)
		case "link":
			p.link = append(p.link, strings.Fields(value)...)
		case "cflags":
			p.cflags = append(p.cflags, strings.Fields(value)...)
		case "expect":
			p.expect, err = regexp.Compile(value)
		case "timeout":
			p.timeout, err = time.ParseDuration(value)
		case "serial":
			p.serial = true
		case "norun":
			p.norun = true
		default:
			err = fmt.Errorf("unknown directive %q", key)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", path, line, err)
		}
	}
	if len(p.runs) == 0 {
		p.runs = []string{""}
	}
	if len(p.longRuns) == 0 {
		p.longRuns = p.runs
	}
	return p, nil
}

func (p *program) cxx() bool { return strings.HasSuffix(p.path, ".cc") }

// inputs lists the files the built program depends on, apart from the headers.
func (p *program) inputs() []string {
	in := []string{p.path}
	for _, lib := range slices.Concat(p.needs, p.linkLibs) {
		in = append(in, filepath.Join("lib", lib))
	}
	return in
}

func TestProgramDirectives(t *testing.T) {
	p, err := parseProgram("stress/x.cc", "// Prose, with a colon: here.\n// run: 1 2\n// run: 3\n// long: 9\n// timeout: 5s\n// norseq:\n// serial:\n\n// run: not this\n")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(p.runs, []string{"1 2", "3"}) || !slices.Equal(p.longRuns, []string{"9"}) ||
		!slices.Equal(p.norseq, []string{""}) || p.timeout != 5*time.Second || !p.serial || !p.cxx() {
		t.Errorf("parsed %+v", p)
	}
	if _, err := parseProgram("x.c", "// runs: 1\n"); err == nil {
		t.Error("a misspelt directive passed")
	}
}
