package telemetry

import (
	"encoding/json"
	"io"
	"time"
)

// WriteJSON writes v (a Snapshot, a Process, a Delta or a list of them) as indented JSON. Names of fields end
// in their unit; those without one are counts.
func WriteJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// MarshalJSON is the struct's fields and what is wrong with its block, if anything.
func (p Process) MarshalJSON() ([]byte, error) {
	type fields Process // without this method
	out := struct {
		fields
		AgeSeconds *float64 `json:"age_seconds,omitempty"` // of the block, now
		Error      string   `json:"error,omitempty"`
	}{fields: fields(p)}
	if p.Err != nil {
		out.Error = p.Err.Error()
	}
	if p.Snapshot != nil {
		age := p.Snapshot.Age(time.Now()).Seconds()
		out.AgeSeconds = &age
	}
	return json.Marshal(out)
}
