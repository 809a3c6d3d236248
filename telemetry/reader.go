package telemetry

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vcmalloc/vcmalloc/telemetry/block"
)

// A block is written in some 10 to 1000 us, once a second. So a handful of attempts suffices, and the bound
// is met only when the writer ended or was stopped in the middle.
const (
	attempts = 100
	pause    = 200 * time.Microsecond
)

// Reader reads the block of one process again and again. It is not safe for concurrent use.
type Reader struct {
	path string
	file *os.File
	copy block.Block // 41 KiB: kept, so that reading does not allocate it anew
}

// Open opens the block file at path.
func Open(path string) (*Reader, error) {
	// Not through links (the folder may be one others write to), and without waiting for a pipe's writer.
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, unix.ELOOP) {
		return nil, fmt.Errorf("%s: %w: a symbolic link", path, ErrFormat)
	}
	if err != nil {
		return nil, err
	}
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		f.Close()
		if err == nil {
			err = fmt.Errorf("%s: %w: not a regular file", path, ErrFormat)
		}
		return nil, err
	}
	return &Reader{path: path, file: f}, nil
}

// Close closes the file. Snapshots stay valid.
func (r *Reader) Close() error { return r.file.Close() }

// Read returns the latest whole block. It waits at most about 30 ms for one.
func (r *Reader) Read() (*Snapshot, error) {
	err := readWhole(r.file, &r.copy)
	if err == nil {
		var s *Snapshot
		if s, err = decode(&r.copy, readClock()); err == nil {
			return s, nil
		}
	}
	return nil, fmt.Errorf("%s: %w", r.path, err)
}

// ReadFile reads the block file at path once.
func ReadFile(path string) (*Snapshot, error) {
	r, err := Open(path)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return r.Read()
}

// readWhole copies the block to b between two reads of the sequence number that are even and equal. Each read
// is a system call, which orders it against the others.
func readWhole(file io.ReaderAt, b *block.Block) error {
	for i := 0; ; i++ {
		before, err := sequence(file)
		if err != nil {
			return err
		}
		if before%2 == 0 {
			if err := fill(file, bytesOf(b), 0); err != nil {
				return err
			}
			after, err := sequence(file)
			if err != nil {
				return err
			}
			if before == after && b.Sequence == before {
				return nil
			}
		}
		if i == attempts-1 {
			return ErrBusy
		}
		time.Sleep(pause)
	}
}

func sequence(file io.ReaderAt) (uint64, error) {
	var word [8]byte
	err := fill(file, word[:], sequenceOffset)
	return binary.NativeEndian.Uint64(word[:]), err
}

// fill reads len(buf) bytes at off. A file that is too short is one that is being made, or no block.
func fill(file io.ReaderAt, buf []byte, off int64) error {
	n, err := file.ReadAt(buf, off)
	if n == len(buf) {
		return nil
	}
	if !errors.Is(err, io.EOF) {
		return err
	}
	if n == 0 && off == sequenceOffset {
		return ErrEmpty
	}
	return fmt.Errorf("%w: %d bytes, want %d", ErrFormat, off+int64(n), blockBytes)
}
