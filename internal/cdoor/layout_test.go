package cdoor

import (
	"os"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"github.com/vcmalloc/vcmalloc/internal/heap"
	"github.com/vcmalloc/vcmalloc/internal/sizeclass"
	"github.com/vcmalloc/vcmalloc/internal/span"
	"github.com/vcmalloc/vcmalloc/internal/units"
	"github.com/vcmalloc/vcmalloc/percpu"
)

const cgo = "../../cgo/"

var comments = regexp.MustCompile(`(?s)/\*.*?\*/|//[^\n]*`)

// source is a C or assembly file without its comments.
func source(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(cgo + name)
	if err != nil {
		t.Fatal(err)
	}
	return comments.ReplaceAllString(string(text), " ")
}

// defines are the numbers that a header defines.
func defines(t *testing.T, name string) map[string]uintptr {
	t.Helper()
	all := map[string]uintptr{}
	for _, m := range regexp.MustCompile(`(?m)^#define\s+(\w+)\s+(\w+)\s*$`).FindAllStringSubmatch(source(t, name), -1) {
		n, err := strconv.ParseUint(m[2], 0, 64)
		if err != nil {
			continue
		}
		all[m[1]] = uintptr(n)
	}
	if len(all) == 0 {
		t.Fatalf("%s defines nothing", name)
	}
	return all
}

type field struct {
	name         string // in lower case, without underscores
	offset, size uintptr
}

func goFields(x any) []field {
	var all []field
	for _, f := range reflect.VisibleFields(reflect.TypeOf(x)) {
		if f.Name != "_" {
			all = append(all, field{strings.ToLower(f.Name), f.Offset, f.Type.Size()})
		}
	}
	return all
}

// cFields lays out a struct of vcm.h. other names fields that Go calls differently.
func cFields(t *testing.T, name string, other map[string]string) []field {
	t.Helper()
	m := regexp.MustCompile(`(?s)struct ` + name + ` \{(.*?)\};`).FindStringSubmatch(source(t, "vcm.h"))
	if m == nil {
		t.Fatalf("vcm.h has no struct %s", name)
	}
	sizes := map[string]uintptr{"uintptr_t": 8, "int64_t": 8, "uint64_t": 8, "uint32_t": 4}
	var all []field
	offset := uintptr(0)
	for line := range strings.SplitSeq(m[1], ";") {
		kind, names, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok {
			continue
		}
		size := sizes[kind]
		if size == 0 {
			t.Fatalf("struct %s has a field of type %s", name, kind)
		}
		for n := range strings.SplitSeq(names, ",") {
			n = strings.TrimSpace(n)
			if o, ok := other[n]; ok {
				n = o
			}
			offset = (offset + size - 1) &^ (size - 1)
			all = append(all, field{strings.ReplaceAll(n, "_", ""), offset, size})
			offset += size
		}
	}
	return all
}

func TestStructsOfVcmHAreTheDoors(t *testing.T) {
	for _, c := range []struct {
		name  string
		x     any
		part  bool // C knows the first fields only
		other map[string]string
	}{
		{"vcm_fast", Fast{}, true, nil},
		{"vcm_params", Params{}, false, map[string]string{
			"seq_vcpu": "vcpu", "seq_pop": "pop", "seq_push": "push", "seq_popn": "popn", "seq_end": "end", "seq_swap": "swap",
			"slot_mm_cid": "slotvcpu", "slot_cpu_id": "slotcpu",
		}},
		{"vcm_stats_request", StatsRequest{}, false, nil},
	} {
		inC, inGo := cFields(t, c.name, c.other), goFields(c.x)
		if len(inC) < 5 || len(inC) > len(inGo) || !c.part && len(inC) != len(inGo) {
			t.Fatalf("%s: %d fields in C, %d in Go", c.name, len(inC), len(inGo))
		}
		for i, f := range inC {
			if f != inGo[i] {
				t.Errorf("%s: %+v in C, %+v in Go", c.name, f, inGo[i])
			}
		}
	}
}

func TestOffsetsOfFastHAreTheBlocks(t *testing.T) {
	seen := map[string]bool{}
	d := defines(t, "fast.h")
	for _, f := range goFields(Fast{}) {
		for name, offset := range d {
			if strings.ReplaceAll(strings.TrimPrefix(name, "FAST_"), "_", "") == strings.ToUpper(f.name) && strings.HasPrefix(name, "FAST_") {
				seen[name] = true
				if offset != f.offset {
					t.Errorf("%s is %d, the field is at %d", name, offset, f.offset)
				}
			}
		}
	}
	for name := range d {
		if strings.HasPrefix(name, "FAST_") && name != "FAST_BYTES" && !seen[name] {
			t.Errorf("%s is the offset of no field", name)
		}
	}
	if want := len(goFields(Fast{})); len(seen) != want {
		t.Errorf("fast.h has %d of %d fields", len(seen), want)
	}
	if d["FAST_BYTES"] != unsafe.Sizeof(Fast{}) {
		t.Errorf("FAST_BYTES is %d, the block has %d", d["FAST_BYTES"], unsafe.Sizeof(Fast{}))
	}
	var f Fast
	if unsafe.Sizeof(f.Starts[0]) != 8 || unsafe.Sizeof(f.Sizes[0]) != 4 || unsafe.Offsetof(f.Starts)%64 != 0 {
		t.Error("the assembly's index scales do not fit the tables")
	}
	// The last load of the lookup table: of the slot of MAX_SMALL bytes.
	if last := (units.MaxSmall+127)>>7 + sizeclass.CoarseBias; last >= len(f.Lookup) {
		t.Errorf("the lookup table has no slot %d", last)
	}
}

// Each constant of fast.h but the offsets is here.
func TestConstantsOfFastHAreGos(t *testing.T) {
	want := map[string]uintptr{
		"FINE_MAX":    sizeclass.FineMax,
		"COARSE_BIAS": sizeclass.CoarseBias,
		"MAX_SMALL":   units.MaxSmall,
		"PAGES_FROM":  heap.PagesFrom,
		"SOLE_ABOVE":  uintptr(sizeclass.SoleAbove),
		"PAGE_SHIFT":  units.PageShift,
		"PAGE_MASK":   units.PageSize - 1,
		"LOCK_SHIFT":  percpu.LockShift,
		"SLAB_ENDS":   percpu.EndsAt,
		"BLOCK_AT":    percpu.EndsAt + percpu.EndsAt/4, // the begins

		// linux/rseq.h, and the signature glibc registers with on x86-64.
		"RSEQ_CPU_ID": 4, "RSEQ_CS": 8, "RSEQ_MM_CID": 24, "RSEQ_SIG": 0x53053053,

		"CALL_FREE":               uintptr(heap.CallFree),
		"CALL_REALLOC":            uintptr(heap.CallRealloc),
		"CALL_REALLOCARRAY":       uintptr(heap.CallReallocarray),
		"CALL_DELETE":             uintptr(heap.CallDelete),
		"CALL_DELETE_ARRAY":       uintptr(heap.CallDeleteArray),
		"CALL_FREE_SIZED":         uintptr(heap.CallFreeSized),
		"CALL_FREE_ALIGNED_SIZED": uintptr(heap.CallFreeAlignedSized),
		"CALL_SDALLOCX":           uintptr(heap.CallSdallocx),
		"CALL_CFREE":              uintptr(heap.CallCfree),
		"FLAG_NESTED":             FlagNested,
		"FLAG_NEW":                FlagNew,
		"FLAG_EXACT":              FlagExact,
		"FLAG_COLD":               FlagCold,
	}
	d := defines(t, "fast.h")
	for name, n := range want {
		if got, ok := d[name]; !ok || got != n {
			t.Errorf("%s is %d in fast.h, %d in Go", name, got, n)
		}
	}
	for name := range d {
		if _, ok := want[name]; !ok && !strings.HasPrefix(name, "FAST_") && !strings.HasPrefix(name, "THREAD_") && name != "SPAN_SHIFT" {
			t.Errorf("fast.h defines %s, which nothing is compared with", name)
		}
	}
	if 1<<d["SPAN_SHIFT"] != unsafe.Sizeof(span.Span{}) || unsafe.Offsetof(span.Span{}.First) != 0 {
		t.Error("the assembly would not find a span's first page")
	}
	if FlagNested <= 0xff {
		t.Error("flags run into the call")
	}
}

func TestConstantsOfVcmHAreTheDoors(t *testing.T) {
	d := defines(t, "vcm.h")
	for name, want := range map[string]uintptr{"WANT_THREAD": WantThread, "STATS_AT_EXIT": StatsAtExit, "NO_THREAD": NoThread} {
		if got, ok := d[name]; !ok || got != want {
			t.Errorf("%s is %d in vcm.h, %d in Go", name, got, want)
		}
	}
	if !strings.Contains(source(t, "vcm.h"), "enum { STATS_NUMBERS, STATS_TEXT, STATS_XML };") || StatsNumbers != 0 || StatsText != 1 || StatsXML != 2 {
		t.Error("the kinds of statistics differ")
	}
}

// The tables that fast.S reserves for Go.
func TestTablesOfFastSAreLargeEnough(t *testing.T) {
	asm := source(t, "fast.S")
	for _, c := range []struct {
		label string
		want  int
		exact bool
	}{
		{"vcm_slabs", percpu.MaxVCPUs * 8, true},
	} {
		m := regexp.MustCompile(`(?m)^` + c.label + `:\s*\.zero\s+(\d+)(?: \* (\d+))?$`).FindStringSubmatch(asm)
		if m == nil {
			t.Fatalf("fast.S does not reserve %s", c.label)
		}
		got := 1
		for _, factor := range m[1:] {
			if factor != "" {
				n, err := strconv.Atoi(factor)
				if err != nil {
					t.Fatal(err)
				}
				got *= n
			}
		}
		if got < c.want || c.exact && got != c.want {
			t.Errorf("%s has %d bytes, want %d", c.label, got, c.want)
		}
	}
	// The empty slab, of percpu.EndsAt / 8 headers as percpu.Options describes them, and as many ends.
	empty := regexp.MustCompile(`(?m)^vcm_empty:\s*\.rept\s+SLAB_ENDS / 8\s+\.quad\s+1 << 16 \| 1\s+\.endr\s+\.zero\s+SLAB_ENDS / 4$`)
	if !empty.MatchString(asm) || percpu.EndsAt/8 < sizeclass.NumClasses {
		t.Error("the empty slab is not as long as a slab's headers and ends, or not empty")
	}
}
