package rtfree

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCleanCorePasses(t *testing.T) {
	cfg := fixture(t, "clean")
	cfg.Dir = fixtureDir(t)
	r, err := Check(cfg)
	require.NoError(t, err)
	require.NoError(t, r.Err())
	t.Logf("\n%s", r)
	require.Len(t, r.Entries, 2, "the entry and the stub")
	require.Greater(t, r.Entries[0].Depth, 40*8+256, "fill's array and the budget of the C function count")
	require.Less(t, r.Entries[0].Depth, 1024)
	require.Contains(t, r.Outside, "syscall.RawSyscall6")
}

// Each fixture breaks one rule; the proof must name it, the offender, and the way to it.
func TestEachRuleBites(t *testing.T) {
	for _, test := range []struct {
		fixture string
		kind    Kind
		what    string   // part of the message
		path    []string // parts of the path, in order
	}{
		{"mapuse", Call, "runtime.", []string{"mapuse.Entry", "mapuse.middle", "mapuse.count", "runtime."}},
		{"channel", Call, "runtime.chansend1", []string{"channel.Entry", "runtime.chansend1"}},
		{"deferuse", Call, "runtime.deferproc", []string{"deferuse.Entry", "runtime.deferproc"}},
		{"escape", Call, "runtime.", []string{"escape.Entry", "runtime."}},
		{"iface", Call, "runtime.convT64", []string{"iface.Entry", "runtime.convT64"}},
		{"concat", Call, "runtime.concatstring2", []string{"concat.Entry", "runtime.concatstring2"}},
		{"closure", Indirect, "indirect call", []string{"closure.Entry"}},
		{"pkginit", PackageInit, "fixtures/pkginit.init", nil},
		{"staticptr", StaticData, "fixtures/staticptr.name", nil},
		{"staticptr", StaticData, "fixtures/staticptr.sizes", nil},
		{"recursion", Recursion, "recursion.even calls fixtures/recursion.odd calls fixtures/recursion.even",
			[]string{"recursion.Entry", "recursion.even", "recursion.odd", "recursion.even"}},
		{"bigstack", Stack, "more than 4096", []string{"bigstack.Entry", "bigstack.below"}},
		{"readg", FakeG, "uses g", []string{"readg.Entry", "readg.gm.abi0"}},
		{"jumptable", Indirect, "jump table", []string{"jumptable.Entry"}},
		{"jumptable", RelocatedData, "jumptable.Entry.jump", []string{"jumptable.Entry"}},
		{"dict", RelocatedData, ".data.rel.ro", []string{"dict.Entry"}},
	} {
		t.Run(test.fixture+"/"+string(test.kind), func(t *testing.T) {
			r, err := Check(fixture(t, test.fixture))
			require.NoError(t, err)
			var found *Violation
			for i, v := range r.Violations {
				if v.Kind == test.kind && strings.Contains(v.What, test.what) {
					found = &r.Violations[i]
				}
			}
			require.NotNil(t, found, "no %s violation with %q in %v", test.kind, test.what, r.Err())
			t.Log(r.Err())
			var names []string
			for _, s := range found.Path {
				names = append(names, s.Func)
			}
			rest := strings.Join(names, " > ")
			for _, part := range test.path {
				_, after, ok := strings.Cut(rest, part)
				require.True(t, ok, "%s is not on the path %v in its place", part, names)
				rest = after
			}
			if len(found.Path) > 0 && test.kind != Stack {
				require.Contains(t, found.Where, "fixtures/"+test.fixture+"/", "no file and line")
			}
		})
	}
}

// One rule broken must not be reported as ten: fixtures show exactly the kinds that they are about.
func TestOnlyTheBrokenRuleIsReported(t *testing.T) {
	for name, want := range map[string][]Kind{
		"channel":   {Call},
		"concat":    {Call},
		"closure":   {Indirect},
		"pkginit":   {PackageInit},
		"staticptr": {StaticData},
		"recursion": {Recursion},
		"bigstack":  {Stack},
		"readg":     {FakeG},
		"jumptable": {Indirect, RelocatedData},
		"barrier":   {Call},
	} {
		r, err := Check(fixture(t, name))
		require.NoError(t, err)
		var kinds []Kind
		for _, v := range r.Violations {
			if len(kinds) == 0 || kinds[len(kinds)-1] != v.Kind {
				kinds = append(kinds, v.Kind)
			}
		}
		require.Equal(t, want, kinds, "%s: %v", name, r.Err())
	}
}

func TestWriteBarrierIsNamedByLine(t *testing.T) {
	cfg := fixture(t, "barrier")
	cfg.Dir = fixtureDir(t)
	r, err := Check(cfg)
	require.NoError(t, err)
	for _, v := range r.Violations {
		if v.Kind == WriteBarrier {
			require.Contains(t, v.What, "fixtures/barrier")
			require.Contains(t, v.Where, "barrier/barrier.go:7")
			return
		}
	}
	t.Fatalf("no write barrier in %v", r.Err())
}

func TestFailedChecksNeedAStub(t *testing.T) {
	cfg := fixture(t, "clean")
	cfg.PanicStub = ""
	r, err := Check(cfg)
	require.NoError(t, err)
	require.ErrorContains(t, r.Err(), "calls runtime.panicBounds")
}

func TestIndirectCallsNeedPermission(t *testing.T) {
	cfg := fixture(t, "clean")
	cfg.Indirect = nil
	r, err := Check(cfg)
	require.NoError(t, err)
	require.Len(t, r.Violations, 1)
	require.Equal(t, Indirect, r.Violations[0].Kind)
	require.Equal(t, "fixtures/clean.callC.abi0", r.Violations[0].Path[len(r.Violations[0].Path)-1].Func)
}

func TestMissingEntryIsAnErrorThatNamesIt(t *testing.T) {
	cfg := fixture(t, "clean")
	cfg.Entries = append(cfg.Entries, Entry{Go: "fixtures/clean.Nowhere"}, Entry{Go: "fixtures/clean.Neither"})
	_, err := Check(cfg)
	require.ErrorContains(t, err, "fixtures/clean.Nowhere")
	require.ErrorContains(t, err, "fixtures/clean.Neither")
}

func TestParseEntries(t *testing.T) {
	entries, err := ParseEntries(strings.NewReader("# heap\na/b.f  vcm_f # the first\n\na/b.(*T).g=vcm_g\n"))
	require.NoError(t, err)
	require.Equal(t, []Entry{{"a/b.f", "vcm_f"}, {"a/b.(*T).g", "vcm_g"}}, entries)
	_, err = ParseEntries(strings.NewReader("one\n"))
	require.ErrorContains(t, err, "line 1")
	_, err = ParseEntries(strings.NewReader("a.f x\na.g x\n"))
	require.ErrorContains(t, err, "line 2: x is already on line 1")
}

func TestSymbolPrefixEscapesTheLastElement(t *testing.T) {
	require.Equal(t, "example.com/a.b/yaml%2ev3.", symbolPrefix("example.com/a.b/yaml.v3"))
	cfg := Config{Core: []string{"x/span"}}
	require.Equal(t, "x/span", cfg.corePackage("x/span.(*Table).At"))
	require.Equal(t, "x/span", cfg.corePackage("type:.eq.x/span.Span"))
	require.Empty(t, cfg.corePackage("x/spanner.New"))
	require.Empty(t, cfg.corePackage("x/span/sub.New"))
}
