package telemetry

import (
	"encoding/binary"
	"io"
	"os"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/vcmalloc/vcmalloc/telemetry/block"
)

// FuzzHostileFile: whatever is in a file, nothing panics, and what is accepted can be shown in every form and
// does not break the scrape of the other processes. The input is a list of patches, offset and value, to a good
// block with all its rows (41 KiB of raw input would keep the fuzzer busy with copying), and where to cut it.
func FuzzHostileFile(f *testing.F) {
	good := sample(os.Getpid())
	good.Classes, good.VCPUs = block.MaxClasses, block.MaxVCPUs
	reference := snapshot(f, good)
	patch := func(offset uint16, value uint64) []byte {
		return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint16(nil, offset), value)
	}
	f.Add([]byte{}, uint16(0))
	f.Add([]byte{}, uint16(100))
	f.Add([]byte{}, uint16(1))
	for _, offset := range []uint16{0, 8, 16, 24, 32, 40, 48, 64, 72, 320, 408, 416, 488, 8768, 8776} {
		f.Add(patch(offset, 0), uint16(0))
		f.Add(patch(offset, ^uint64(0)), uint16(0))
		f.Add(patch(offset, 1<<63-1), uint16(0))
	}
	f.Add(append(patch(320+96*5, 16|1<<32), patch(320+96*5+40, 1)...), uint16(0)) // a second class of 16 bytes
	dir := Dir(f.TempDir())

	f.Fuzz(func(t *testing.T, patches []byte, cut uint16) {
		data := append([]byte(nil), bytesOf(good)...)
		for ; len(patches) >= 10; patches = patches[10:] {
			at := int(binary.LittleEndian.Uint16(patches)) % (len(data) - 8)
			copy(data[at:], patches[2:10])
		}
		if cut > 0 {
			data = data[:int(cut-1)%len(data)]
		}
		s, err := Decode(data)
		if (s == nil) == (err == nil) {
			t.Fatalf("snapshot %v, error %v", s, err)
		}
		if s != nil {
			show(t, s, reference)
		}
		writeFile(t, dir, os.Getpid(), data)
		registry := prometheus.NewPedanticRegistry()
		registry.MustRegister(NewCollector(dir, CollectorOptions{Classes: true, VCPUs: true}))
		if _, err := registry.Gather(); err != nil {
			t.Fatal(err)
		}
	})
}

func show(t *testing.T, s, reference *Snapshot) {
	_ = s.Check()
	for _, before := range []*Snapshot{s, reference} {
		if d, err := s.Since(before); err == nil {
			if err := WriteDelta(io.Discard, d); err != nil {
				t.Fatal(err)
			}
		}
	}
	p := Process{PID: s.PID, Snapshot: s}
	for _, err := range []error{
		WriteText(io.Discard, &p), WriteJSON(io.Discard, p), WriteList(io.Discard, []Process{p}, nil),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
}
