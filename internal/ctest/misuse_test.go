package ctest

import (
	"fmt"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// TestMisuse makes one error per program. By default the library writes one line that names the call, the
// pointer and what the pointer is, and ends the process by SIGABRT; with VCMALLOC_CHECK=report it writes
// the line and goes on, and nothing else is damaged. On the C library's allocator the error is left out:
// what is around it must be right.
func TestMisuse(t *testing.T) {
	each(t, "misuse", func(t *testing.T, p *program) {
		if p.expect == nil {
			t.Fatalf("%s has no expect directive", p.path)
		}
		exe := mustBuild(t, p)
		if plain() {
			if strings.Contains(p.name, "sized") && !strings.HasSuffix(p.name, ".cc") {
				// The program finds free_sized by name only in the wrong call, which is left out.
				t.Log("free_sized itself is not called here")
			}
			succeed(t, p, []string{"CTEST_SANE=1"}, exe)
			return
		}
		t.Run("sane", func(t *testing.T) {
			succeed(t, p, append(p.env, "CTEST_SANE=1"), exe)
		})
		t.Run("abort", func(t *testing.T) {
			r := run(t, p.timeout, p.env, exe)
			if r.signal() != syscall.SIGABRT {
				t.Errorf("%s: not ended by SIGABRT: %v", p.path, r)
			}
			checkDiagnosis(t, p, r)
		})
		t.Run("report", func(t *testing.T) {
			env := append(p.env, "VCMALLOC_CHECK=report")
			r := run(t, p.timeout, env, exe)
			if !r.ok() {
				if r.signal() != 0 && !r.hung {
					r.backtraces = crashBacktrace(p.timeout, env, exe)
				}
				t.Errorf("%s: did not go on after the report: %v", p.path, r)
			}
			checkDiagnosis(t, p, r)
		})
	})
}

var announced = regexp.MustCompile(`(?m)^bad (0x[0-9a-f]+)$`)

// checkDiagnosis requires one line on stderr, of the library, with the pointer and the expected words.
func checkDiagnosis(t *testing.T, p *program, r *result) {
	t.Helper()
	if err := diagnosis(p, r.stdout, r.stderr); err != nil {
		t.Errorf("%s: %v\n%v", p.path, err, r)
	}
}

func diagnosis(p *program, stdout, stderr string) error {
	line, rest, _ := strings.Cut(stderr, "\n")
	text, ours := strings.CutPrefix(line, "vcmalloc: ")
	m := announced.FindStringSubmatch(stdout)
	switch {
	case line == "":
		return fmt.Errorf("no diagnosis on stderr")
	case !ours:
		return fmt.Errorf("stderr does not begin with a line of vcmalloc's")
	case rest != "":
		return fmt.Errorf("more than one line on stderr")
	case !p.expect.MatchString(text):
		return fmt.Errorf("the diagnosis does not match %q", p.expect)
	case m == nil:
		return fmt.Errorf("the program did not announce the pointer")
	case !regexp.MustCompile(m[1] + `\b`).MatchString(text):
		return fmt.Errorf("the diagnosis does not name the pointer %s", m[1])
	}
	return nil
}

func TestDiagnosis(t *testing.T) {
	p := &program{expect: regexp.MustCompile(`^free\b.*double free`)}
	const stdout = "bad 0x7f1234\n"
	for stderr, want := range map[string]bool{
		"vcmalloc: free(0x7f1234): double free of a block of 32 bytes\n": true,
		"":                                       false,
		"free(): double free detected\n":         false,
		"vcmalloc: free(0x7f12345): double free": false,
		"vcmalloc: free(0x7f1234): foreign pointer\n":           false,
		"vcmalloc: free(0x7f1234): double free\nmore\n":         false,
		"vcmalloc: realloc(0x7f1234): double free of a block\n": false,
	} {
		if err := diagnosis(p, stdout, stderr); (err == nil) != want {
			t.Errorf("%q: %v", stderr, err)
		}
	}
}

// TestBadEnvironment gives the library a value it can't read: one line that names the variable, and the
// program runs on with the default.
func TestBadEnvironment(t *testing.T) {
	requireLibrary(t)
	if plain() {
		t.Skip("vcmalloc promises this, the C library does not")
	}
	exe := mustBuild(t, &program{path: "conformance/malloc_zero.c", name: "malloc_zero.c"})
	r := run(t, defaultTimeout, []string{"VCMALLOC_CHECK=no-such-value"}, exe)
	lines := strings.Split(strings.TrimSuffix(r.stderr, "\n"), "\n")
	if !r.ok() || len(lines) != 1 || !strings.HasPrefix(lines[0], "vcmalloc: ") || !strings.Contains(lines[0], "VCMALLOC_CHECK") {
		t.Errorf("want one line beginning with \"vcmalloc: \" that names VCMALLOC_CHECK, and the default: %v", r)
	}
}
