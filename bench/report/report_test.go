package report

import (
	"bytes"
	"encoding/xml"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vcmalloc/vcmalloc/bench/stat"
	"github.com/vcmalloc/vcmalloc/bench/subject"
)

func sample() *Report {
	s := &Suite{
		Name: "micro", Title: "Single <operations>", Baseline: "glibc", Notes: []string{"a note"},
		Subjects: []subject.Subject{{Name: "glibc"}, {Name: "fast"}, {Name: "same"}, {Name: "broken"}},
		Extra:    []Table{{Title: "extra", Header: []string{"h"}, Rows: [][]string{{"cell"}}}},
	}
	for _, name := range []string{"pair 8 B", "pair 64 B"} {
		s.Cases = append(s.Cases, &Case{
			Name: name, Group: "pair", Rounds: 5, Failed: map[string]string{"broken": "exit status 4"},
			Metrics: []*Metric{{Name: "time", Unit: "ns/op", Direction: stat.Lower, Main: true, Values: map[string]Values{
				"glibc": {10, 11, 10, 12, 10}, "fast": {5, 5.5, 5, 6, 5}, "same": {10, 10.9, 10.2, 11.8, math.NaN()},
			}}},
			Lines: []Line{{Subject: "fast", Seconds: []float64{0, 1}, Bytes: []float64{1 << 20, 2 << 20}}},
		})
	}
	s.Judge()
	return &Report{Command: "go run ./bench micro", Date: "2026-01-01T00:00:00Z", Suites: []*Suite{s}}
}

func TestJudge(t *testing.T) {
	s := sample().Suites[0]
	m := s.Cases[0].Metrics[0]
	assert.Equal(t, stat.Better, m.Versus["fast"].Verdict)
	assert.InDelta(t, 0.5, m.Versus["fast"].Ratio.Median, 1e-9)
	assert.Equal(t, stat.NoDifference, m.Versus["same"].Verdict)
	assert.NotContains(t, m.Versus, "glibc")
	require.Len(t, s.Overall, 1)
	assert.InDelta(t, 0.5, s.Overall[0].Versus["fast"].Ratio.Median, 1e-9)
	assert.NotContains(t, s.Overall[0].Versus, "broken")
}

func TestASubjectThatLacksACaseHasNoGeometricMean(t *testing.T) {
	s := sample().Suites[0]
	delete(s.Cases[1].Metrics[0].Values, "fast")
	s.Judge()
	assert.NotContains(t, s.Overall[0].Versus, "fast")
	assert.Contains(t, s.rankLine(&s.Overall[0]), "fast incomplete")
}

func TestRankingHasTheBaselineInItsPlace(t *testing.T) {
	s := sample().Suites[0]
	var names []string
	for _, r := range s.ranking(&s.Overall[0]) {
		names = append(names, r.Name)
	}
	assert.Equal(t, "fast", names[0])
	assert.Contains(t, names, "glibc")
}

func TestText(t *testing.T) {
	var b bytes.Buffer
	sample().WriteText(&b)
	for _, want := range []string{"pair 8 B", "no difference", "0.500 [0.500-0.500]", "FAILED: pair 8 B under broken: exit status 4", "note: a note", "extra"} {
		assert.Contains(t, b.String(), want)
	}
}

func TestJSONComesBackAsItWas(t *testing.T) {
	r := sample()
	var b bytes.Buffer
	require.NoError(t, r.WriteJSON(&b))
	back, err := ReadJSON(&b)
	require.NoError(t, err)
	v := back.Suites[0].Cases[0].Metrics[0].Values["same"]
	assert.True(t, math.IsNaN(v[4]))
	back.Suites[0].Judge()
	assert.Equal(t, r.Suites[0].Overall[0].Versus["same"].Ratio, back.Suites[0].Overall[0].Versus["same"].Ratio)
}

func TestHTMLIsOneFileWithItsPlotsInside(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, sample().Save(dir))
	b, err := os.ReadFile(filepath.Join(dir, "report.html"))
	require.NoError(t, err)
	text := string(b)
	assert.GreaterOrEqual(t, strings.Count(text, "<svg"), 2, "a ratio plot and a memory plot")
	for _, ref := range regexp.MustCompile(`(?:src|href)="([^"]*)"`).FindAllStringSubmatch(text, -1) {
		assert.True(t, strings.HasPrefix(ref[1], "#"), "refers to %s", ref[1])
	}
	assert.NotContains(t, text, "<script")
	assert.NotContains(t, text, "url(")
	assert.Contains(t, text, "Single &lt;operations&gt;")
	assert.Contains(t, text, `class="failed"`)
	for _, svg := range regexp.MustCompile(`(?s)<svg.*?</svg>`).FindAllString(text, -1) {
		assert.NoError(t, xml.Unmarshal([]byte(svg), new(struct{})))
	}
}

func TestFailuresAreAnError(t *testing.T) {
	assert.ErrorContains(t, sample().Failures(), "2 failed")
	assert.NoError(t, (&Report{}).Failures())
}

func TestNumbers(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 3.14159: "3.14", 31.4159: "31.4", 314.159: "314", 0.0271: "0.027", 2.5e6: "2.5 M"} {
		assert.Equal(t, want, number(v))
	}
	assert.Equal(t, "-", number(math.NaN()))
}

func TestMarkdownHasEveryMainRow(t *testing.T) {
	var b bytes.Buffer
	sample().WriteMarkdown(&b)
	text := b.String()
	assert.Contains(t, text, "| pair 64 B | time, ns/op | 10.0 | 5.00 (0.500 [0.500-0.500]) | 10.6 (no difference) | FAILED |")
	assert.Contains(t, text, "| time, 2 cases | lower | 0.500 [0.500-0.500] | no difference | incomplete |")
	assert.Contains(t, text, "FAILED: pair 8 B under broken: exit status 4")
	for _, line := range strings.Split(text, "\n") {
		if strings.HasPrefix(line, "|") {
			assert.True(t, strings.HasSuffix(line, "|"), line)
		}
	}
}

func TestPlotsOfAllKindsAreDrawn(t *testing.T) {
	s := &Suite{Name: "s", Plots: []Plot{
		{Title: "curves", Kind: Curves, X: "seconds", Y: "MiB", Series: []Series{{Name: "a", X: Values{0, 1, 2}, Y: Values{1, math.NaN(), 3}}, {Name: "none"}}},
		{Title: "bars", Kind: Bars, Y: "MiB", Names: []string{"x", "y"}, Series: []Series{{Name: "a", Y: Values{1, 2}}, {Name: "b", Y: Values{3}}}},
		{Title: "stacked", Kind: Stacked, Y: "MiB", Names: []string{"x"}, Series: []Series{{Name: "a", Y: Values{1}}, {Name: "b", Y: Values{3}}}},
	}}
	figures, err := s.extras()
	require.NoError(t, err)
	require.Len(t, figures, 3)
	for _, f := range figures {
		assert.Contains(t, string(f.SVG), "<svg", f.Title)
		assert.Equal(t, "a", f.Keys[0].Name)
	}
	_, err = (&Suite{Plots: []Plot{{Title: "odd", Kind: "pie"}}}).extras()
	assert.ErrorContains(t, err, "pie")
}

func TestWhatFailsForAllIsSaidOnce(t *testing.T) {
	c := &Case{Name: "redis", Failed: map[string]string{"a": "no redis here", "b": "no redis here"}}
	subjects := []subject.Subject{{Name: "a"}, {Name: "b"}}
	assert.Equal(t, []failed{{"all", "no redis here"}}, c.failures(subjects))
	c.Failed["b"] = "exit status 4"
	assert.Len(t, c.failures(subjects), 2)
	delete(c.Failed, "b")
	assert.Equal(t, []failed{{"a", "no redis here"}}, c.failures(subjects))
}
