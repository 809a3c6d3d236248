package report

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
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

// Failures is nil, or says which cases failed for whom.
func (r *Report) Failures() error {
	var lines []string
	for _, s := range r.Suites {
		for _, c := range s.Cases {
			for _, sub := range s.Subjects {
				if c.Failed[sub.Name] != "" {
					lines = append(lines, fmt.Sprintf("%s: %s under %s", s.Name, c.Name, sub.Name))
				}
			}
		}
	}
	if len(lines) == 0 {
		return nil
	}
	return fmt.Errorf("%d failed: %s", len(lines), strings.Join(lines, "; "))
}
