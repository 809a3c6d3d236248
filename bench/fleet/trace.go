package fleet

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
)

// Op is what an event does.
type Op uint8

// The operations, as in bench/load/trace.h.
const (
	Alloc Op = 1
	Free  Op = 2
)

// Event of a trace. Slots stand for pointers and are used again after the free.
type Event struct {
	Size   uint64
	Slot   uint32
	Thread uint16
	Op     Op
	Align  uint8 // log2, 0 if none was asked for
}

// Trace is what replay plays.
type Trace struct {
	Events  []Event
	Slots   uint32
	Threads uint32
}

const magic = "VCTRACE1"

// header is the struct trace_header of bench/load/trace.h.
type header struct {
	Magic          [8]byte
	Events         uint64
	Slots, Threads uint32
}

// Write writes the trace.
func (t *Trace) Write(w io.Writer) error {
	b := bufio.NewWriterSize(w, 1<<20)
	h := header{Events: uint64(len(t.Events)), Slots: t.Slots, Threads: t.Threads}
	copy(h.Magic[:], magic)
	if err := binary.Write(b, binary.LittleEndian, &h); err != nil {
		return err
	}
	var buf []byte
	for _, e := range t.Events {
		buf = binary.LittleEndian.AppendUint64(buf[:0], e.Size)
		buf = binary.LittleEndian.AppendUint32(buf, e.Slot)
		buf = binary.LittleEndian.AppendUint16(buf, e.Thread)
		buf = append(buf, byte(e.Op), e.Align)
		if _, err := b.Write(buf); err != nil {
			return err
		}
	}
	return b.Flush()
}

// Save writes the trace to a file.
func (t *Trace) Save(path string) error {
	part := fmt.Sprintf("%s.%d", path, os.Getpid()) // another bench may be reading the one that is there
	f, err := os.Create(part)
	if err != nil {
		return err
	}
	if err := errors.Join(t.Write(f), f.Close()); err != nil {
		os.Remove(part)
		return err
	}
	return os.Rename(part, path)
}

// raw is the struct raw_event of bench/load/trace.h.
type raw struct {
	When, Pointer, Size uint64
	Thread              uint32
	Op                  Op
	Align               uint8
	_                   [2]byte
}

const rawBytes = 32

// maxThreads is what replay takes.
const maxThreads = 4096

// Convert makes a trace of what the recorder wrote: sorts it by time and replaces pointers by slots. Frees of
// objects that were allocated before the recording began are left out.
func Convert(r io.Reader) (*Trace, error) {
	var events []raw
	buf := make([]byte, rawBytes)
	in := bufio.NewReaderSize(r, 1<<20)
	for {
		if _, err := io.ReadFull(in, buf); err == io.EOF {
			break
		} else if err != nil {
			return nil, fmt.Errorf("the recording is cut short: %w", err)
		}
		le := binary.LittleEndian
		events = append(events, raw{
			When: le.Uint64(buf), Pointer: le.Uint64(buf[8:]), Size: le.Uint64(buf[16:]),
			Thread: le.Uint32(buf[24:]), Op: Op(buf[28]), Align: buf[29],
		})
	}
	slices.SortStableFunc(events, func(a, b raw) int {
		switch {
		case a.When < b.When:
			return -1
		case a.When > b.When:
			return 1
		}
		return int(b.Op) - int(a.Op) // a free comes before the allocation that reuses its memory
	})
	return number(events)
}

// slotGap is how many events lie between a slot's free and its next use: beyond replay's window, so that threads wait
// for each other only where the program's own did.
const slotGap = 100000

// slotter gives out slots.
type slotter struct {
	n     uint32
	spare []spareSlot // in the order of their frees
}

type spareSlot struct {
	slot  uint32
	freed int
}

// take a slot for the event at index now.
func (s *slotter) take(now int) uint32 {
	if len(s.spare) > 0 && now-s.spare[0].freed > slotGap {
		slot := s.spare[0].slot
		s.spare = s.spare[1:]
		return slot
	}
	s.n++
	return s.n - 1
}

func (s *slotter) give(slot uint32, now int) { s.spare = append(s.spare, spareSlot{slot, now}) }

// number gives out slots and dense thread numbers.
func number(events []raw) (*Trace, error) {
	t := &Trace{}
	var s slotter
	slots := map[uint64]uint32{}
	threads := map[uint32]uint16{}
	for _, e := range events {
		slot, live := slots[e.Pointer]
		switch {
		case e.Op == Free && !live:
			continue
		case e.Op == Free:
			delete(slots, e.Pointer)
			s.give(slot, len(t.Events))
		case live:
			return nil, fmt.Errorf("pointer %#x is allocated twice in the recording", e.Pointer)
		default:
			slot = s.take(len(t.Events))
			slots[e.Pointer] = slot
		}
		thread, ok := threads[e.Thread]
		if !ok {
			if len(threads) == maxThreads {
				return nil, fmt.Errorf("the recording has more than %d threads", maxThreads)
			}
			thread = uint16(len(threads))
			threads[e.Thread] = thread
		}
		t.Events = append(t.Events, Event{Size: e.Size, Slot: slot, Thread: thread, Op: e.Op, Align: e.Align})
	}
	t.Threads, t.Slots = uint32(len(threads)), s.n
	return t, nil
}

// Load reads a file that Save wrote.
func Load(path string) (*Trace, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r := bufio.NewReaderSize(f, 1<<20)
	var h header
	if err := binary.Read(r, binary.LittleEndian, &h); err != nil || string(h.Magic[:]) != magic {
		return nil, fmt.Errorf("%s is no trace of bench record", path)
	}
	t := &Trace{Slots: h.Slots, Threads: h.Threads}
	buf := make([]byte, 16)
	for range h.Events {
		if _, err := io.ReadFull(r, buf); err != nil {
			return nil, fmt.Errorf("%s is cut short: %w", path, err)
		}
		le := binary.LittleEndian
		e := Event{Size: le.Uint64(buf), Slot: le.Uint32(buf[8:]), Thread: le.Uint16(buf[12:]), Op: Op(buf[14]), Align: buf[15]}
		if e.Slot >= t.Slots || uint32(e.Thread) >= t.Threads || e.Op != Alloc && e.Op != Free {
			return nil, fmt.Errorf("%s: event %d is not understood", path, len(t.Events))
		}
		t.Events = append(t.Events, e)
	}
	return t, nil
}
