package telemetry

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTextShowsEveryTotalAndTheRowsInUse(t *testing.T) {
	s := snapshot(t, sample(77))
	var out bytes.Buffer
	require.NoError(t, WriteText(&out, &Process{PID: 77, Command: "cmd", Snapshot: s}))
	text := out.String()
	for _, p := range s.Totals.Parts() {
		assert.Contains(t, text, p.Help)
	}
	for _, want := range []string{"process 77 cmd (running)", "7 on allocation, 1 on free", "= mapped for the heap", "side region"} {
		assert.Contains(t, text, want)
	}
	assert.NotContains(t, text, "were moving")
	_, rows, _ := strings.Cut(text, "\nclass")
	assert.Equal(t, []string{"2", "16", "100", "12", "100", "300", "1", "3", "2", "4", "6", "3"}, strings.Fields(strings.Split(rows, "\n")[1]))
	for line := range strings.Lines(text) {
		assert.Equal(t, strings.TrimRight(line, " \n")+"\n", line, "no trailing blanks")
	}

	s.Totals.Mapped += 16
	out.Reset()
	require.NoError(t, WriteText(&out, &Process{PID: 77, Snapshot: s}))
	assert.Contains(t, out.String(), "+16 bytes were moving")
}

func TestWritersPassErrorsOn(t *testing.T) {
	broken := errors.New("broken")
	p := &Process{PID: 1, Snapshot: snapshot(t, sample(1))}
	assert.ErrorIs(t, WriteText(failing{broken}, p), broken)
	assert.ErrorIs(t, WriteDelta(failing{broken}, &Delta{}), broken)
	assert.ErrorIs(t, WriteList(failing{broken}, []Process{*p}, nil), broken)
	assert.ErrorIs(t, WriteJSON(failing{broken}, p), broken)
	assert.ErrorIs(t, WriteText(&bytes.Buffer{}, &Process{Err: broken}), broken)
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func TestJSONReadsBack(t *testing.T) {
	p := Process{PID: os.Getpid(), Command: "<x>", State: Ended, Snapshot: snapshot(t, sample(os.Getpid()))}
	var out bytes.Buffer
	require.NoError(t, WriteJSON(&out, []Process{p, {PID: 2, Err: errors.New("why")}}))
	var back []struct {
		Process
		AgeSeconds float64 `json:"age_seconds"`
		Error      string  `json:"error"`
	}
	require.NoError(t, json.Unmarshal(out.Bytes(), &back))
	assert.Equal(t, "<x>", back[0].Command)
	assert.Equal(t, p.Snapshot.Totals, back[0].Snapshot.Totals)
	assert.Equal(t, p.Snapshot.Classes, back[0].Snapshot.Classes)
	assert.Equal(t, Ended, back[0].State)
	assert.Equal(t, "why", back[1].Error)
	assert.Nil(t, back[1].Snapshot)
}
