package main

import (
	"testing"
	"unsafe"
)

// Each peer's loops run, and stores keep what is written.
func TestPeersWork(t *testing.T) {
	for _, p := range peers() {
		for _, size := range []int{16, 100, 5000, 1 << 20} {
			p.pair(size, held)
			p.hold(size, held)
			if p.store == nil {
				continue
			}
			s := p.store()
			var objects [20]unsafe.Pointer
			for round := range 3 {
				for i := range objects {
					objects[i] = s.alloc(size)
					b := unsafe.Slice((*byte)(objects[i]), size)
					for j := range b {
						b[j] = byte(i + round)
					}
				}
				for i, o := range objects {
					for _, c := range unsafe.Slice((*byte)(o), size) {
						if c != byte(i+round) {
							t.Fatalf("%s: object of %d bytes changed", p.name, size)
						}
					}
					s.free(o)
				}
			}
		}
	}
}

func TestSummariesAreMediansAndQuartiles(t *testing.T) {
	if s := summarise([]float64{5, 1, 3, 2, 4}); s != (summary{3, 1}) {
		t.Fatal(s)
	}
}
