package programs

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// generateC writes a C program of n functions, each a small state machine over its own table, and returns
// what the program prints.
func generateC(t *testing.T, path string, n int) string {
	t.Helper()
	var b, main, want strings.Builder
	b.WriteString("#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n")
	for f := range n {
		fmt.Fprintf(&b, "\nstatic const unsigned table%d[] = {", f)
		table := make([]uint32, 16+f%16)
		for i := range table {
			table[i] = uint32(i*f*2654435761 + i)
			fmt.Fprintf(&b, "%du,", table[i])
		}
		fmt.Fprintf(&b, "};\nstatic unsigned f%d(unsigned x) {\n  unsigned s = x;\n", f)
		fmt.Fprintf(&b, "  for (unsigned i = 0; i < sizeof table%d / sizeof *table%d; i++) {\n    switch ((s ^ i) %% 5) {\n", f, f)
		for c := range 5 {
			fmt.Fprintf(&b, "    case %d: s = s * %du + table%d[i]; s ^= s >> %d; break;\n", c, 2*(f+c)+1, f, 3+(f+c)%13)
		}
		b.WriteString("    }\n  }\n  return s;\n}\n")
		fmt.Fprintf(&main, "  printf(\"%%u\\n\", f%d(%du));\n", f, 7*f)
		s := uint32(7 * f)
		for i, value := range table {
			c := int((s ^ uint32(i)) % 5)
			s = s*uint32(2*(f+c)+1) + value
			s ^= s >> (3 + (f+c)%13)
		}
		fmt.Fprintf(&want, "%d\n", s)
	}
	fmt.Fprintf(&b, "\nint main(void) {\n%s  return 0;\n}\n", main.String())
	write(t, path, b.String())
	return want.String()
}

// generateCxx writes a C++ program and returns what it prints: heavy types, each with templates over the
// standard containers (a second of compilation each), and light ones, small classes over a recursive
// template of their own.
func generateCxx(t *testing.T, path string, heavy, light int) string {
	t.Helper()
	var b, main, want strings.Builder
	b.WriteString(`#include <algorithm>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <numeric>
#include <set>
#include <sstream>
#include <string>
#include <tuple>
#include <unordered_map>
#include <variant>
#include <vector>

template <int N> struct Fib { static constexpr unsigned long value = Fib<N - 1>::value + Fib<N - 2>::value; };
template <> struct Fib<0> { static constexpr unsigned long value = 0; };
template <> struct Fib<1> { static constexpr unsigned long value = 1; };

struct Base {
  virtual ~Base() = default;
  virtual std::string name() const = 0;
  virtual unsigned long work(unsigned long x) const = 0;
};

template <class T, int N> struct Chain : Chain<T, N - 1> {
  long down(long x) const { return Chain<T, N - 1>::down(x) + x + N; }
};
template <class T> struct Chain<T, 0> {
  long down(long) const { return 0; }
};

template <class T, int K> struct Layer : T {
  unsigned long fold(const std::vector<unsigned long> &v) const {
    return std::accumulate(v.begin(), v.end(), 0ul, [](auto a, auto x) { return a + x * K; });
  }
};
`)
	total := 0
	fibonacci := [91]uint64{1: 1}
	for i := 2; i < len(fibonacci); i++ {
		fibonacci[i] = fibonacci[i-1] + fibonacci[i-2]
	}
	for c := range light {
		fmt.Fprintf(&b, `
struct Light%[1]d : Chain<Light%[1]d, %[2]d> {
  int a = %[1]d;
  long value() const { return this->down(a) + %[3]d; }
};
`, c, 1+c%20, c*c)
		fmt.Fprintf(&main, "  sum += Light%d{}.value();\n", c)
		total += c*(1+c%20) + (c%20+1)*(c%20+2)/2 + c*c
	}
	for c := range heavy {
		fmt.Fprintf(&b, `
template <class Key> struct Type%[1]d final : Base {
  struct Tag { int id = %[1]d; bool operator<(const Tag &o) const { return id < o.id; } };
  std::map<Key, std::tuple<int, std::string, Tag>> items;
  std::variant<int, std::string, std::vector<Tag>> any;
  Type%[1]d() {
    for (int i = 0; i < %[2]d; i++) items.emplace(Key(i), std::make_tuple(i * %[1]d, std::to_string(i), Tag{}));
    any = std::vector<Tag>(%[1]d %% 7 + 1);
  }
  std::string name() const override {
    std::ostringstream out;
    out << "Type" << %[1]d << '/' << items.size() << '/' << std::get<2>(any).size();
    return out.str();
  }
  unsigned long work(unsigned long x) const override {
    std::vector<unsigned long> v;
    for (const auto &[key, value] : items) v.push_back(std::get<0>(value) + x);
    std::sort(v.begin(), v.end(), [](auto a, auto b) { return a > b; });
    return Layer<std::set<Tag>, %[3]d>().fold(v) + Fib<%[4]d>::value;
  }
};
`, c, 5+c%11, 1+c%9, 10+c%80)
		key := []string{"int", "long", "unsigned char", "double"}[c%4]
		fmt.Fprintf(&main, "  all.push_back(std::make_unique<Type%d<%s>>());\n", c, key)
		sum := fibonacci[10+c%80]
		for i := range 5 + c%11 {
			sum += uint64(i*c+3) * uint64(1+c%9)
		}
		fmt.Fprintf(&want, "Type%d/%d/%d %d\n", c, 5+c%11, c%7+1, sum)
	}
	fmt.Fprintf(&b, `
int main() {
  std::vector<std::unique_ptr<Base>> all;
  long sum = 0;
%s  for (const auto &p : all) std::cout << p->name() << ' ' << p->work(3) << '\n';
  std::cout << sum << '\n';
}
`, main.String())
	fmt.Fprintf(&want, "%d\n", total)
	write(t, path, b.String())
	return want.String()
}

func TestGcc(t *testing.T) {
	gcc := need(t, "gcc", "gcc")
	need(t, "/usr/include/stdio.h", "libc6-dev")
	requireBound(t, gcc, "--version")
	dir := workDir(t)
	want := generateC(t, filepath.Join(dir, "generated.c"), 300)
	execute(t, program{argv: []string{gcc, "-O2", "-g", "-o", "generated", "generated.c"}, dir: dir, timeout: 2 * time.Minute})
	equal(t, "the program's output", execute(t, program{argv: []string{filepath.Join(dir, "generated")}}), want)
	// The compiler's output is a function of its input: the same assembly without the library.
	execute(t, program{argv: []string{gcc, "-O1", "-S", "-o", "with.s", "generated.c"}, dir: dir})
	execute(t, program{argv: []string{gcc, "-O1", "-S", "-o", "without.s", "generated.c"}, dir: dir, proof: noPreload})
	with, err := os.ReadFile(filepath.Join(dir, "with.s"))
	if err != nil {
		t.Fatal(err)
	}
	without, err := os.ReadFile(filepath.Join(dir, "without.s"))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "gcc's assembly", string(with), string(without))
}

func TestGxx(t *testing.T) {
	gxx := need(t, "g++", "g++")
	requireBound(t, gxx, "--version")
	dir := workDir(t)
	want := generateCxx(t, filepath.Join(dir, "generated.cc"), 4, 500)
	execute(t, program{argv: []string{gxx, "-std=c++17", "-O1", "-o", "generated", "generated.cc"}, dir: dir, timeout: 3 * time.Minute})
	run := []string{filepath.Join(dir, "generated")}
	requireBound(t, run...)
	equal(t, "the program's output", execute(t, program{argv: run}), want)
}

// cxxOutput is what testdata/cxx/threads.cc prints.
const cxxOutput = `exceptions 44800 alive 0 containers 287904000
messages 10784000 failures 8000 numbers 112000
refused 7 handler 3 aligned 1000
tasks 8550050 left 0
`

func TestCxxExceptionsAndThreads(t *testing.T) {
	gxx := need(t, "g++", "g++")
	dir := workDir(t)
	execute(t, program{proof: noPreload, dir: dir, timeout: 2 * time.Minute, argv: []string{
		gxx, "-std=c++17", "-O1", "-pthread", "-Wno-alloc-size-larger-than", "-o", "threads", source(t, "cxx/threads.cc")}})
	run := []string{filepath.Join(dir, "threads")}
	requireBound(t, run...)
	for range 3 {
		equal(t, "the program's output", execute(t, program{argv: run}), cxxOutput)
	}
}

func TestCgo(t *testing.T) {
	need(t, "gcc", "gcc")
	if goTool == "" {
		missing(t, "no go command in PATH")
	}
	dir := workDir(t)
	binary := filepath.Join(dir, "cgo")
	// The build has the user's caches, so not by start, which gives each program a home of its own.
	goBuild(t, binary, "./testdata/cgo")
	requireBound(t, binary)
	const want = "blocks 96000 lists 160000 joined 7210596 callbacks 2784000\n"
	for range 3 {
		equal(t, "the program's output", execute(t, program{argv: []string{binary}}), want)
	}
}

func TestJava(t *testing.T) {
	java := need(t, "java", "openjdk-17-jdk-headless")
	need(t, "javac", "openjdk-17-jdk-headless")
	requireBound(t, java, "-version")
	dir := workDir(t)
	got := execute(t, program{dir: dir, timeout: 3 * time.Minute, argv: []string{
		java, "-Xmx256m", "-Djava.io.tmpdir=" + dir, source(t, "java/Main.java")}})
	equal(t, "java's output", got, `buffers 2035200 zip 44353920
threads 500000
words 107 200 2857
files 4000000
done 63600
`)
}
