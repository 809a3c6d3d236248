package config

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// read lists the variables that config.go looks for: the literals of after(p, "NAME=").
func read(t *testing.T) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "config.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) != 2 {
			return true
		}
		if f, ok := call.Fun.(*ast.Ident); !ok || f.Name != "after" {
			return true
		}
		if lit, ok := call.Args[1].(*ast.BasicLit); ok {
			text, err := strconv.Unquote(lit.Value)
			if err != nil {
				t.Fatal(err)
			}
			if name, ok := strings.CutSuffix(text, "="); ok {
				names = append(names, "VCMALLOC_"+name)
			}
		}
		return true
	})
	slices.Sort(names)
	return slices.Compact(names)
}

func TestEveryVariableReadIsKnownHere(t *testing.T) {
	for _, name := range read(t) {
		_, text := parse(t, false, name+"=\x01")
		if strings.Contains(text, "no such variable") {
			t.Errorf("%s is looked for but not reached", name)
		}
	}
	if len(read(t)) < 8 {
		t.Error("too few variables were found: the source has changed its form")
	}
}

// row is a line of docs/tuning.md's table.
type row struct {
	name, values, preset string
	ignored              bool // in programs that run with more rights than their caller
}

func rows(t *testing.T) []row {
	t.Helper()
	text, err := os.ReadFile("../../docs/tuning.md")
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("there is no docs/tuning.md yet")
	}
	if err != nil {
		t.Fatal(err)
	}
	var all []row
	line := regexp.MustCompile("(?m)^\\| *`(VCMALLOC_[A-Z_]+)` *(†?) *\\|([^|]*)\\|([^|]*)\\|")
	for _, m := range line.FindAllStringSubmatch(string(text), -1) {
		all = append(all, row{name: m[1], ignored: m[2] != "", values: m[3], preset: m[4]})
	}
	return all
}

var quoted = regexp.MustCompile("`([^`]*)`")

func TestTuningDocumentListsExactlyTheVariables(t *testing.T) {
	var listed []string
	for _, r := range rows(t) {
		listed = append(listed, r.name)
	}
	slices.Sort(listed)
	if want := read(t); !slices.Equal(listed, want) {
		t.Errorf("docs/tuning.md lists %v, config.go reads %v", listed, want)
	}
}

func TestTuningDocumentSaysWhatPrivilegedProgramsIgnore(t *testing.T) {
	for _, r := range rows(t) {
		got, text := parse(t, true, r.name+"=/")
		if ignored := got == Default() && text == ""; ignored != r.ignored {
			t.Errorf("%s: ignored %v, the document says %v", r.name, ignored, r.ignored)
		}
	}
}

func TestTuningDocumentsValuesAreAcceptedAndItsDefaultsAreSo(t *testing.T) {
	for _, r := range rows(t) {
		for _, m := range quoted.FindAllStringSubmatch(r.values, -1) {
			if strings.HasSuffix(m[1], "NAME") {
				continue // a pattern
			}
			if _, text := parse(t, false, r.name+"="+m[1]); text != "" {
				t.Errorf("%s=%s: %s", r.name, m[1], text)
			}
		}
		for _, m := range quoted.FindAllStringSubmatch(r.preset, -1) {
			if strings.HasPrefix(m[1], "-") {
				continue // of another variable
			}
			if got, text := parse(t, false, r.name+"="+m[1]); text != "" || got != Default() {
				t.Errorf("%s=%s is not the default: %+v %s", r.name, m[1], got, text)
			}
		}
	}
}
