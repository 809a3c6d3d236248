package report

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/vcmalloc/vcmalloc/bench/subject"
)

// Save writes report.json and report.html to the directory, making it.
func (r *Report) Save(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(dir, "report.json"))
	if err != nil {
		return err
	}
	defer f.Close()
	if err := r.WriteJSON(f); err != nil {
		return err
	}
	h, err := os.Create(filepath.Join(dir, "report.html"))
	if err != nil {
		return err
	}
	defer h.Close()
	return r.WriteHTML(h)
}

type failed struct{ who, why string }

// failures of the case, in the subjects' order; one for all of them where all have the same.
func (c *Case) failures(subjects []subject.Subject) []failed {
	var out []failed
	same := true
	for _, sub := range subjects {
		if e := c.Failed[sub.Name]; e != "" {
			out = append(out, failed{sub.Name, e})
			same = same && e == out[0].why
		}
	}
	if same && len(out) > 1 && len(out) == len(subjects) {
		return []failed{{"all", out[0].why}}
	}
	return out
}

// Failures is nil, or says which cases failed for whom.
func (r *Report) Failures() error {
	var lines []string
	for _, s := range r.Suites {
		for _, c := range s.Cases {
			for _, f := range c.failures(s.Subjects) {
				lines = append(lines, fmt.Sprintf("%s: %s under %s", s.Name, c.Name, f.who))
			}
		}
	}
	if len(lines) == 0 {
		return nil
	}
	return fmt.Errorf("%d failed: %s", len(lines), strings.Join(lines, "; "))
}
