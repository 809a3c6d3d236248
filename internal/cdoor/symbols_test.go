package cdoor

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// entry is an exported function of this package.
type entry struct {
	params   int
	noinline bool
}

func entries(t *testing.T) map[string]entry {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]entry{}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Recv != nil || !f.Name.IsExported() {
				continue
			}
			e := entry{params: f.Type.Params.NumFields()}
			for _, c := range f.Doc.List {
				e.noinline = e.noinline || c.Text == "//go:noinline"
			}
			all[f.Name.Name] = e
		}
	}
	return all
}

// snake is the C name of a Go function: FreeChecked is free_checked.
func snake(name string) string {
	var b strings.Builder
	for i, c := range name {
		if unicode.IsUpper(c) && i > 0 {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(c))
	}
	return b.String()
}

func submatches(re, text string) []string {
	var all []string
	for _, m := range regexp.MustCompile(re).FindAllStringSubmatch(text, -1) {
		all = append(all, m[1])
	}
	return all
}

func same(t *testing.T, what string, got, want []string) {
	t.Helper()
	slices.Sort(got)
	slices.Sort(want)
	for _, s := range got {
		if !slices.Contains(want, s) {
			t.Errorf("%s: %s is one too many", what, s)
		}
	}
	for _, s := range want {
		if !slices.Contains(got, s) {
			t.Errorf("%s: %s is missing", what, s)
		}
	}
	if unique := slices.Compact(slices.Clone(got)); len(unique) != len(got) {
		t.Errorf("%s: something is there twice: %v", what, got)
	}
}

func TestEveryFunctionOfTheDoorIsAnEntry(t *testing.T) {
	doors := entries(t)
	goNames := slices.Collect(maps.Keys(doors))
	var cNames []string
	for name, e := range doors {
		cNames = append(cNames, snake(name))
		if !e.noinline {
			t.Errorf("%s may be inlined: no symbol would be there to call", name)
		}
		if e.params > 5 {
			t.Errorf("%s has %d parameters, entry.S passes five", name, e.params)
		}
	}
	text, err := os.ReadFile(cgo + "entries.txt")
	if err != nil {
		t.Fatal(err)
	}
	const symbol = `github\.com/vcmalloc/vcmalloc/internal/cdoor\.`
	same(t, "entries.txt, Go", submatches(`(?m)^`+symbol+`(\w+)\s+\w+$`, string(text)), goNames)
	same(t, "entries.txt, C", submatches(`(?m)^`+symbol+`\w+\s+go_(\w+)$`, string(text)), cNames)
	for _, m := range regexp.MustCompile(`(?m)^`+symbol+`(\w+)\s+go_(\w+)$`).FindAllStringSubmatch(string(text), -1) {
		if snake(m[1]) != m[2] {
			t.Errorf("entries.txt: %s is called %s", m[1], m[2])
		}
	}
	same(t, "entry.S", submatches(`(?m)^\tentry\s+(\w+)\s*$`, source(t, "entry.S")), cNames)
	same(t, "shim/main.go", submatches(`(?m)^\s*cdoor\.(\w+)\(`, source(t, "shim/main.go")), goNames)
}

func TestPrototypesHaveTheDoorsParameters(t *testing.T) {
	doors := entries(t)
	params := map[string]int{}
	for name, e := range doors {
		params[snake(name)] = e.params
	}
	var declared []string
	for _, m := range regexp.MustCompile(`\bvcm_go_(\w+)\(([^)]*)\)`).FindAllStringSubmatch(source(t, "vcm.h"), -1) {
		declared = append(declared, m[1])
		n := strings.Count(m[2], ",") + 1
		if strings.TrimSpace(m[2]) == "void" {
			n = 0
		}
		if n != params[m[1]] {
			t.Errorf("vcm_go_%s: %d parameters in vcm.h, %d in Go", m[1], n, params[m[1]])
		}
	}
	same(t, "vcm.h", declared, slices.Collect(maps.Keys(params)))
}

// defined are the symbols that the C and assembly files define for other libraries to see.
func defined(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, pattern := range []string{"*.c", "*.S"} {
		files, err := filepath.Glob(cgo + pattern)
		if err != nil || len(files) == 0 {
			t.Fatal(pattern, err)
		}
		for _, path := range files {
			text := source(t, filepath.Base(path))
			if pattern == "*.c" {
				all = append(all, submatches(`(?m)^EXPORT\s[^;{}()]*?(\w+)\([^;{}]*\)\s*\{`, text)...)
				continue
			}
			hidden := submatches(`(?m)^\s*\.?hidden\s+(\w+)`, text)
			labels := append(submatches(`(?m)^(\w+):`, text), submatches(`(?m)^\s*function\s+(\w+)\s*$`, text)...)
			global := submatches(`(?m)^\s*function\s+(\w+)\s*$`, text)
			for _, list := range submatches(`(?m)^\s*\.globl\s+(.*)$`, text) {
				for s := range strings.SplitSeq(list, ",") {
					global = append(global, strings.TrimSpace(s))
				}
			}
			for _, s := range global {
				if slices.Contains(labels, s) && !slices.Contains(hidden, s) {
					all = append(all, s)
				}
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func TestExportsAreExactlyWhatIsDefined(t *testing.T) {
	text, err := os.ReadFile(cgo + "exports.map")
	if err != nil {
		t.Fatal(err)
	}
	text, _, ok := bytes.Cut(text, []byte("local:"))
	if !ok {
		t.Fatal("exports.map hides nothing")
	}
	same(t, "exports.map", submatches(`(\w+);`, string(text)), defined(t))
}

func TestHeaderDeclaresOnlyExports(t *testing.T) {
	text, err := os.ReadFile("../../include/vcmalloc.h")
	if err != nil {
		t.Fatal(err)
	}
	symbols := defined(t)
	for _, s := range submatches(`\b(vcmalloc_\w+)\(`, comments.ReplaceAllString(string(text), " ")) {
		if !slices.Contains(symbols, s) {
			t.Errorf("vcmalloc.h declares %s, which is not defined", s)
		}
	}
}
