package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/vcmalloc/vcmalloc/bench/runner"
)

// words of --only. Case names contain commas, so an option is taken whole where that is part of a case's name, and
// cut at its commas otherwise.
func words(options []string, suites []runner.Suite) []string {
	var out []string
	for _, o := range options {
		if chooses(o, suites) {
			out = append(out, o)
			continue
		}
		for _, w := range strings.Split(o, ",") {
			if w = strings.TrimSpace(w); w != "" {
				out = append(out, w)
			}
		}
	}
	return out
}

func chooses(word string, suites []runner.Suite) bool {
	return slices.ContainsFunc(suites, func(s runner.Suite) bool {
		return slices.Contains(s.Chosen, word) ||
			slices.ContainsFunc(s.Cases, func(c runner.Case) bool { return strings.Contains(c.Name, word) })
	})
}

// choose keeps the cases that the words name, and of suites that a word has chosen all, unless another word names
// some of theirs. Suites without a case are dropped. A word that chooses nothing is an error: it is misspelt.
func choose(suites []runner.Suite, options []string) ([]runner.Suite, error) {
	only := words(options, suites)
	for _, w := range only {
		if !chooses(w, suites) {
			return nil, fmt.Errorf("--only %q: no case has that in its name; there are: %s", w, strings.Join(caseNames(suites), "; "))
		}
	}
	var out []runner.Suite
	for _, s := range suites {
		rest := slices.DeleteFunc(slices.Clone(only), func(w string) bool { return slices.Contains(s.Chosen, w) })
		named := func(c runner.Case) bool {
			return slices.ContainsFunc(rest, func(w string) bool { return strings.Contains(c.Name, w) })
		}
		all := len(only) == 0 || len(s.Chosen) > 0 && !slices.ContainsFunc(s.Cases, named)
		s.Cases = slices.DeleteFunc(slices.Clone(s.Cases), func(c runner.Case) bool {
			if all {
				return c.Optional
			}
			return !named(c)
		})
		if len(s.Cases) > 0 {
			out = append(out, s)
		}
	}
	return out, nil
}

func caseNames(suites []runner.Suite) []string {
	var out []string
	for _, s := range suites {
		for _, c := range s.Cases {
			if !slices.Contains(out, c.Name) {
				out = append(out, c.Name)
			}
		}
	}
	return out
}
