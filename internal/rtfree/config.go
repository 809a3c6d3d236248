package rtfree

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// DefaultMaxStack is the most stack an entry may use, in bytes: a quarter of the smallest stack that POSIX
// threads may have (PTHREAD_STACK_MIN is 16 KiB), as malloc's callers need the rest.
const DefaultMaxStack = 4096

// Entry is a function of the core that C calls.
type Entry struct {
	// Go is its symbol in go.o, e.g. github.com/vcmalloc/vcmalloc/internal/heap.cMalloc.
	Go string
	// C is the global name that the link tool gives it. May be empty if only go.o is checked.
	C string
}

// Config says what to check. The zero value checks nothing: Object, Entries and Core are required.
type Config struct {
	// Object is the go.o of the c-archive, as the Go linker wrote it.
	Object string
	// Linked is what was made of it: the object that the link tool wrote, or a library or program linked with
	// that, not stripped. Optional. The code is then walked in both, as the linker may change it too.
	Linked string
	// Entries are the functions that C calls.
	Entries []Entry
	// Core holds the import paths of the core packages.
	Core []string
	// PanicStub is the Go symbol that the runtime's panic functions are redirected to. If empty, a failed
	// bounds check counts as a forbidden call.
	PanicStub string
	// Indirect names the functions that may call through a register, each with the bytes of stack that what
	// it calls may use.
	Indirect map[string]int
	// Allow names further functions outside the core that may be called. They are walked by the same rules.
	Allow []string
	// AllowTLS names functions that may read thread-local storage or use R14 as they like: assembly only.
	AllowTLS []string
	// MaxStack is in bytes; 0 means DefaultMaxStack.
	MaxStack int
	// Dir is the folder in which `go build` finds the core packages. If empty, write barriers are not checked.
	Dir string
	// BuildFlags are further arguments of that `go build`, e.g. -tags.
	BuildFlags []string
}

func (c *Config) maxStack() int {
	if c.MaxStack == 0 {
		return DefaultMaxStack
	}
	return c.MaxStack
}

// indirectBudget returns the bytes of stack that an indirect call of a function may use, if it may have one.
func (c *Config) indirectBudget(symbol string) (int, bool) {
	if n, ok := c.Indirect[symbol]; ok {
		return n, true
	}
	n, ok := c.Indirect[strings.TrimSuffix(symbol, ".abi0")]
	return n, ok
}

// listed tells whether a list holds a symbol, with or without the suffix of assembly.
func listed(list []string, symbol string) bool {
	return slices.Contains(list, symbol) || slices.Contains(list, strings.TrimSuffix(symbol, ".abi0"))
}

// ReadEntries reads a list of entries from a file in the form of ParseEntries.
func ReadEntries(path string) ([]Entry, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	entries, err := ParseEntries(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return entries, nil
}

// ParseEntries reads lines of the form `gosymbol cname` (or gosymbol=cname). # starts a comment.
func ParseEntries(r io.Reader) ([]Entry, error) {
	var entries []Entry
	seen := map[string]int{}
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line, _, _ := strings.Cut(lines.Text(), "#")
		fields := strings.Fields(strings.Replace(line, "=", " ", 1))
		if len(fields) == 0 {
			continue
		}
		if len(fields) != 2 {
			return nil, fmt.Errorf("line %d: want `gosymbol cname`, have %q", n, strings.TrimSpace(line))
		}
		for _, name := range fields {
			if first, dup := seen[name]; dup {
				return nil, fmt.Errorf("line %d: %s is already on line %d", n, name, first)
			}
			seen[name] = n
		}
		entries = append(entries, Entry{Go: fields[0], C: fields[1]})
	}
	return entries, lines.Err()
}
