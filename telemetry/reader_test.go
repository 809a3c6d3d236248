package telemetry

import (
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/vcmalloc/vcmalloc/telemetry/block"
)

func TestReaderReadsWhatWasWritten(t *testing.T) {
	b := sample(os.Getpid())
	s, err := ReadFile(writeFile(t, Dir(t.TempDir()), os.Getpid(), bytesOf(b)))
	require.NoError(t, err)

	assert.Equal(t, os.Getpid(), s.PID)
	assert.EqualValues(t, 4, s.Writes)
	assert.Equal(t, b.Total.Mapped, s.Totals.Mapped)
	assert.WithinDuration(t, time.Now(), s.Updated, time.Second)
	assert.InDelta(t, 4*time.Millisecond, s.Updated.Sub(s.Started), 0)
	assert.Len(t, s.Classes, 3, "row 0 is no class")
	assert.Equal(t, Class{ID: 2, Size: 16, SpanPages: 1, Used: 100, PerCPU: 12, Transfer: 100, Free: 300, TransferCapacity: 512,
		Spans: 1, Fetched: 3, Returned: 2, TransferHits: 4, TransferMisses: 6, CentralContended: 1, TransferContended: 2, Reused: 20, Crossed: 5}, s.Classes[1])
	assert.Equal(t, []int{0, 7}, []int{s.VCPUs[0].ID, s.VCPUs[1].ID}, "only vCPUs the process ran on")
	assert.NoError(t, s.Check())
}

func TestReaderRefusesWhatIsNoBlock(t *testing.T) {
	changed := func(f func(b *block.Block)) []byte {
		b := sample(1)
		f(b)
		return bytesOf(b)
	}
	for name, c := range map[string]struct {
		data []byte
		want error
	}{
		"empty":               {nil, ErrEmpty},
		"zeros":               {make([]byte, blockBytes), ErrEmpty},
		"cut short":           {bytesOf(sample(1))[:blockBytes-1], ErrFormat},
		"one header line":     {bytesOf(sample(1))[:64], ErrFormat},
		"text":                {[]byte("#!/bin/sh\necho a longer text than eight bytes\n"), ErrFormat},
		"magic":               {changed(func(b *block.Block) { b.Magic++ }), ErrFormat},
		"magic, no version":   {changed(func(b *block.Block) { b.Version = 0 }), ErrEmpty},
		"version":             {changed(func(b *block.Block) { b.Version++ }), ErrVersion},
		"size":                {changed(func(b *block.Block) { b.Bytes-- }), ErrFormat},
		"never written":       {changed(func(b *block.Block) { b.Sequence = 0 }), ErrEmpty},
		"half written":        {changed(func(b *block.Block) { b.Sequence = 9 }), ErrBusy},
		"too many classes":    {changed(func(b *block.Block) { b.Classes = block.MaxClasses + 1 }), ErrFormat},
		"too many vCPUs":      {changed(func(b *block.Block) { b.VCPUs = ^uint32(0) }), ErrFormat},
		"process id":          {changed(func(b *block.Block) { b.PID = 1 << 40 }), ErrFormat},
		"older than its heap": {changed(func(b *block.Block) { b.Updated = b.Started - 1 }), ErrFormat},
	} {
		t.Run(name, func(t *testing.T) {
			path := writeFile(t, Dir(t.TempDir()), 1, c.data)
			s, err := ReadFile(path)
			assert.ErrorIs(t, err, c.want)
			assert.ErrorContains(t, err, path)
			assert.Nil(t, s)
		})
	}
}

func TestReaderRefusesLinksPipesAndFolders(t *testing.T) {
	dir := t.TempDir()
	target := writeFile(t, Dir(dir), 1, bytesOf(sample(1)))
	link, pipe := filepath.Join(dir, "link"), filepath.Join(dir, "pipe")
	require.NoError(t, os.Symlink(target, link))
	require.NoError(t, unix.Mkfifo(pipe, 0o600))
	for _, path := range []string{link, pipe, dir, "/dev/zero"} {
		_, err := ReadFile(path)
		assert.ErrorIs(t, err, ErrFormat, path)
	}
	_, err := ReadFile(filepath.Join(dir, "none"))
	assert.ErrorIs(t, err, os.ErrNotExist)
}

// mapBlock maps a file as a publishing process does.
func mapBlock(t *testing.T, path string) *block.Block {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	require.NoError(t, err)
	defer f.Close()
	mem, err := unix.Mmap(int(f.Fd()), 0, blockBytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, unix.Munmap(mem)) })
	return (*block.Block)(unsafe.Pointer(&mem[0]))
}

// A writer fills the block with one number after another, far more often than a process would. Each block the
// reader returns must hold a single number.
func TestReaderNeverReturnsATornBlock(t *testing.T) {
	first := sample(1)
	*first = block.Block{Magic: first.Magic, Version: first.Version, Bytes: first.Bytes, Sequence: 2, PID: 1,
		Started: first.Started, Updated: first.Updated, Classes: block.MaxClasses, VCPUs: block.MaxVCPUs}
	path := writeFile(t, Dir(t.TempDir()), 1, bytesOf(first))
	b := mapBlock(t, path)
	var stop atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := uint64(1); !stop.Load(); n++ {
			atomic.AddUint64(&b.Sequence, 1)
			b.Total.Mapped, b.Total.Overflows = n, n
			for i := range b.Class {
				b.Class[i].Size, b.Class[i].Used, b.Class[i].TransferMisses = 8, n, n
			}
			for i := range b.PerCPU {
				b.PerCPU[i].SlabBytes, b.PerCPU[i].Drains = n, n
			}
			atomic.AddUint64(&b.Sequence, 1)
			for start := time.Now(); time.Since(start) < 30*time.Microsecond; { // sleep is far coarser
			}
		}
	}()
	defer func() { stop.Store(true); <-done }()

	r, err := Open(path)
	require.NoError(t, err)
	defer r.Close()
	whole, busy, distinct, last := 0, 0, 0, uint64(0)
	// A loaded machine may let the two meet rarely: then it takes longer.
	for start := time.Now(); time.Since(start) < 400*time.Millisecond || (distinct <= 10 && time.Since(start) < 10*time.Second); {
		s, err := r.Read()
		if err != nil {
			require.ErrorIs(t, err, ErrBusy)
			busy++
			continue
		}
		whole++
		n := s.Totals.Mapped
		if n != last {
			distinct++
		}
		last = n
		if s.Totals.Overflows != n {
			t.Fatalf("totals of %d and %d in one block", n, s.Totals.Overflows)
		}
		for _, k := range s.Classes {
			if k.Used != n || k.TransferMisses != n {
				t.Fatalf("class %d has %d and %d in a block of %d", k.ID, k.Used, k.TransferMisses, n)
			}
		}
		for _, v := range s.VCPUs {
			if v.SlabBytes != n || v.Drains != n {
				t.Fatalf("vCPU %d has %d and %d in a block of %d", v.ID, v.SlabBytes, v.Drains, n)
			}
		}
	}
	t.Logf("%d whole blocks, %d of them different, %d times busy", whole, distinct, busy)
	assert.Greater(t, distinct, 10)
}

func TestReaderGivesUpOnAWriterThatDiedWriting(t *testing.T) {
	b := sample(1)
	b.Sequence++
	path := writeFile(t, Dir(t.TempDir()), 1, bytesOf(b))
	start := time.Now()
	_, err := ReadFile(path)
	assert.ErrorIs(t, err, ErrBusy)
	assert.Less(t, time.Since(start), 2*time.Second)
}

// The file may shrink under the reader: of a mapping that would be the end of the process.
func TestReaderSurvivesTruncation(t *testing.T) {
	path := writeFile(t, Dir(t.TempDir()), 1, bytesOf(sample(1)))
	r, err := Open(path)
	require.NoError(t, err)
	defer r.Close()
	_, err = r.Read()
	require.NoError(t, err)
	require.NoError(t, os.Truncate(path, 4096))
	_, err = r.Read()
	assert.ErrorIs(t, err, ErrFormat)
	require.NoError(t, os.Truncate(path, 0))
	_, err = r.Read()
	assert.ErrorIs(t, err, ErrEmpty)
}
