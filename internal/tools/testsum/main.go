// Command testsum reads `go test -json` from standard input and prints, per package, how many tests ran and
// how they ended; the output of failed tests in full; and a closing line with the totals. Tests named in
// -show are printed even when they pass. It exits 1 if anything failed.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"regexp"
	"sort"
	"strings"
)

// event is one line of `go test -json` (go doc test2json).
type event struct {
	Action, Package, ImportPath, Test, Output string
	Elapsed                                   float64
}

type result struct {
	passed, failed, skipped int
	elapsed                 float64
	broken                  bool // did not build, or died outside a test
}

func main() {
	show := flag.String("show", "^$", "regular expression of tests whose output is printed even when they pass")
	flag.Parse()
	shown := regexp.MustCompile(*show)
	results := map[string]*result{}
	output := map[string][]string{}
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 16<<20)
	for in.Scan() {
		var e event
		if json.Unmarshal(in.Bytes(), &e) != nil {
			fmt.Println(in.Text()) // not from test2json: a build error, or a line of go itself
			continue
		}
		if e.Package == "" {
			e.Package = e.ImportPath
		}
		r := results[e.Package]
		if r == nil {
			r = &result{}
			results[e.Package] = r
		}
		key := e.Package + " " + e.Test
		switch e.Action {
		case "output", "build-output":
			output[key] = append(output[key], e.Output)
			continue
		case "build-fail":
			r.broken = true
			fmt.Print(strings.Join(output[key], ""))
		case "pass", "fail", "skip":
			if e.Test == "" && e.Action == "fail" {
				unfinished(output, e.Package)
			}
			done(r, &e, output[key], shown)
			delete(output, key)
		}
	}
	os.Exit(summary(results))
}

// unfinished prints what the tests wrote that had not ended when their package did: a crash speaks in them.
func unfinished(output map[string][]string, pkg string) {
	var keys []string
	for key := range output {
		if test, ok := strings.CutPrefix(key, pkg+" "); ok && test != "" {
			keys = append(keys, key)
		}
	}
	sort.Strings(keys)
	for _, key := range keys {
		fmt.Print(strings.Join(output[key], ""))
		delete(output, key)
	}
}

// done counts a finished test, or a finished package (Test is empty).
func done(r *result, e *event, output []string, shown *regexp.Regexp) {
	if e.Test == "" {
		r.elapsed = e.Elapsed
		if e.Action == "fail" {
			r.broken = true
			fmt.Print(strings.Join(output, ""))
		}
		if e.Action != "skip" {
			fmt.Printf("%-4s %-60s %4d passed %3d failed %3d skipped %7.1fs\n", e.Action, e.Package, r.passed, r.failed, r.skipped, e.Elapsed)
		}
		return
	}
	switch e.Action {
	case "pass":
		r.passed++
	case "fail":
		r.failed++
	case "skip":
		r.skipped++
	}
	if e.Action == "fail" || e.Action == "skip" || shown.MatchString(e.Test) {
		fmt.Print(strings.Join(output, ""))
	}
}

func summary(results map[string]*result) int {
	var total result
	var broken []string
	for name, r := range results {
		total.passed += r.passed
		total.failed += r.failed
		total.skipped += r.skipped
		if r.broken && r.failed == 0 {
			broken = append(broken, name)
		}
	}
	sort.Strings(broken)
	for _, name := range broken {
		fmt.Println("package failed outside its tests:", name)
	}
	fmt.Printf("%d passed, %d failed, %d skipped\n", total.passed, total.failed+len(broken), total.skipped)
	if total.failed > 0 || len(broken) > 0 || total.passed == 0 {
		return 1
	}
	return 0
}
