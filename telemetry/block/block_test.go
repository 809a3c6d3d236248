package block

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"unsafe"
)

var update = flag.Bool("update", false, "add new fields to the golden layout of this version")

// layout lists every named number of the block: its name, its offset (in a row, from the row's beginning), its
// type. Reserved space is not listed, for a later field may take it.
func layout() (lines []string) {
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	add("Magic=%#x", uint64(Magic))
	add("MaxClasses=%d MaxVCPUs=%d", MaxClasses, MaxVCPUs)
	for _, t := range []reflect.Type{
		reflect.TypeFor[Block](), reflect.TypeFor[Totals](), reflect.TypeFor[Class](), reflect.TypeFor[VCPU](),
		reflect.TypeFor[Domain](), reflect.TypeFor[Returns](), reflect.TypeFor[Node](),
	} {
		add("%s size=%d", t.Name(), t.Size())
		for i := range t.NumField() {
			if f := t.Field(i); f.Name != "_" {
				add("%s.%s offset=%d type=%s", t.Name(), f.Name, f.Offset, strings.ReplaceAll(f.Type.String(), "block.", ""))
			}
		}
	}
	return lines
}

// Readers of other builds rely on the layout of a version. Fields may be added in reserved space (then run
// this with -update); any other change needs a new Version, whose golden file -update makes.
func TestLayoutOfAVersionNeverChanges(t *testing.T) {
	path := filepath.Join("testdata", fmt.Sprintf("layout-v%d.txt", Version))
	golden, err := os.ReadFile(path)
	if err != nil && !(*update && os.IsNotExist(err)) {
		t.Fatalf("%v: a new Version needs its golden layout: go test ./telemetry/block -update", err)
	}
	now := layout()
	known := map[string]bool{}
	for _, line := range now {
		known[line] = true
	}
	old := map[string]bool{}
	for line := range strings.Lines(string(golden)) {
		line = strings.TrimSpace(line)
		old[line] = true
		if !known[line] {
			t.Errorf("version %d had %q, which is gone or changed: raise Version", Version, line)
		}
	}
	if t.Failed() {
		return
	}
	if *update {
		if err := os.WriteFile(path, []byte(strings.Join(now, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	for _, line := range now {
		if !old[line] {
			t.Errorf("%q is new in version %d: record it with go test ./telemetry/block -update", line, Version)
		}
	}
}

// The writer stores plainly and the reader copies bytes: both need words on their own boundaries, and a size
// that is the same in every build.
func TestEveryFieldIsAPlainAlignedNumber(t *testing.T) {
	var walk func(path string, offset uintptr, typ reflect.Type)
	walk = func(path string, offset uintptr, typ reflect.Type) {
		switch typ.Kind() {
		case reflect.Struct:
			end := offset
			for i := range typ.NumField() {
				f := typ.Field(i)
				if offset+f.Offset != end {
					t.Errorf("%s.%s: %d bytes of padding before it: reserve them by name", path, f.Name, offset+f.Offset-end)
				}
				walk(path+"."+f.Name, offset+f.Offset, f.Type)
				end = offset + f.Offset + f.Type.Size()
			}
			if end != offset+typ.Size() {
				t.Errorf("%s: padding at its end", path)
			}
		case reflect.Array:
			walk(path+"[0]", offset, typ.Elem())
			walk(path+"[1]", offset+typ.Elem().Size(), typ.Elem())
		case reflect.Uint8:
			if !strings.Contains(path, "._") {
				t.Errorf("%s: bytes are for reserved space only", path)
			}
		case reflect.Uint32, reflect.Uint64, reflect.Int64:
			if offset%typ.Size() != 0 {
				t.Errorf("%s at %d is not aligned", path, offset)
			}
		default:
			t.Errorf("%s is a %s: only fixed-size numbers may be published", path, typ)
		}
	}
	walk("Block", 0, reflect.TypeFor[Block]())
	if n := unsafe.Sizeof(Block{}); n > 64<<10 {
		t.Errorf("the block has %d bytes: every process pays for it", n)
	}
}
