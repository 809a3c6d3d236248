package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unsafe"
)

// result of one cache's process.
type result struct {
	Build     float64 // seconds to fill it
	Serve     float64 // microseconds an operation: nine gets to one replacement
	GC        float64 // milliseconds of a forced collection
	GCs       uint32  // collections in all
	PauseP99  float64 // microseconds the world was stopped, 99th percentile of all pauses
	GCPercent float64 // of the CPU time available, from start to end
	RSS       float64 // MiB, at the end
	Peak      float64 // MiB
	Values    float64 // MiB asked for
}

// caches runs each cache in a process of its own and prints what it cost.
func caches(rec *recorder, objects int, quick bool) error {
	names := []string{"map of []byte"}
	for _, p := range peers() {
		if p.store != nil {
			names = append(names, p.name)
		}
	}
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	fmt.Printf("\na cache of %d objects of 32 to 224 bytes, one in ten operations replaces one; a process each\n\n", objects)
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "values in\tfill s\tserve us/op\tcollection ms\tpause p99 us\tcollections\tGC % of CPU\tRSS MiB\tpeak MiB\tvalues MiB\t")
	for _, name := range names {
		args := []string{"-variant", name, "-objects", strconv.Itoa(objects)}
		if quick {
			args = append(args, "-quick")
		}
		cmd := exec.Command(exe, args...)
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		var r result
		if err := json.Unmarshal(out, &r); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		fmt.Fprintf(w, "%s\t%.1f\t%.2f\t%.1f\t%.0f\t%d\t%.2f\t%.0f\t%.0f\t%.0f\t\n", name, r.Build, r.Serve, r.GC, r.PauseP99, r.GCs, r.GCPercent, r.RSS, r.Peak, r.Values)
		for unit, v := range map[string]float64{"s/fill": r.Build, "us/op": r.Serve, "ms/collection": r.GC, "us/pause-p99": r.PauseP99, "GC-%": r.GCPercent, "RSS-MiB": r.RSS} {
			rec.add("cache/values="+name, 1, v, unit)
		}
	}
	return w.Flush()
}

// cache is what both kinds do.
type cache interface {
	put(key uint64, size int)
	get(key uint64) byte
}

// onHeap is what Go programs write first.
type onHeap map[uint64][]byte

func (c onHeap) put(key uint64, size int) {
	b := make([]byte, size)
	b[0], b[size-1] = byte(key), byte(size)
	c[key] = b
}
func (c onHeap) get(key uint64) byte { return c[key][0] }

// offHeap keeps addresses and lengths in a map without pointers.
type offHeap struct {
	s     store
	index map[uint64]value
}

type value struct {
	at   uintptr
	size int
}

func (c *offHeap) put(key uint64, size int) {
	if old, ok := c.index[key]; ok {
		c.s.free(unsafe.Add(nil, old.at))
	}
	p := c.s.alloc(size)
	b := unsafe.Slice((*byte)(p), size)
	b[0], b[size-1] = byte(key), byte(size)
	c.index[key] = value{uintptr(p), size}
}
func (c *offHeap) get(key uint64) byte { return *(*byte)(unsafe.Add(nil, c.index[key].at)) }

// runCache is one cache's process.
func runCache(variant string, objects int, quick bool) error {
	var c cache = onHeap(make(map[uint64][]byte, objects))
	if variant != "map of []byte" {
		c = nil
		for _, p := range peers() {
			if p.name == variant {
				c = &offHeap{p.store(), make(map[uint64]value, objects)}
			}
		}
	}
	if c == nil {
		return fmt.Errorf("no variant %q", variant)
	}
	r := rand.New(rand.NewPCG(1, 2))
	size := func() int { return 32 + int(r.Uint64N(193)) }
	var res result
	started := time.Now()
	begin := started
	for k := range uint64(objects) {
		n := size()
		res.Values += float64(n) / (1 << 20)
		c.put(k, n)
	}
	res.Build = time.Since(begin).Seconds()

	runtime.GC()
	begin = time.Now()
	runtime.GC()
	res.GC = float64(time.Since(begin).Microseconds()) / 1000

	ops := 0
	garbage := make([][]byte, 256) // a service makes garbage, whatever its cache does
	begin = time.Now()
	for length := time.Duration(pick(quick, 3, 10)) * time.Second; time.Since(begin) < length; {
		for range 1000 {
			k := r.Uint64N(uint64(objects))
			if ops%10 == 0 {
				c.put(k, size())
			} else if c.get(k) != byte(k) {
				return fmt.Errorf("object %d has changed", k)
			}
			garbage[ops%len(garbage)] = make([]byte, 512)
			ops++
		}
	}
	took := time.Since(begin).Seconds()
	res.Serve = took * 1e6 / float64(ops)
	res.GCs = uint32(gcCount())
	res.GCPercent = 100 * gcCPU() / (time.Since(started).Seconds() * float64(runtime.GOMAXPROCS(0)))
	res.PauseP99 = pauseP99()
	debug.FreeOSMemory()
	res.RSS, res.Peak = status("VmRSS:"), status("VmHWM:")
	runtime.KeepAlive(c)
	return json.NewEncoder(os.Stdout).Encode(res)
}

func read(name string) metrics.Value {
	s := []metrics.Sample{{Name: name}}
	metrics.Read(s)
	return s[0].Value
}

// gcCPU is the seconds of CPU the collector has used, as of the last collection.
func gcCPU() float64 { return read("/cpu/classes/gc/total:cpu-seconds").Float64() }

func gcCount() uint64 { return read("/gc/cycles/total:gc-cycles").Uint64() }

func pauseP99() float64 {
	h := read("/sched/pauses/total/gc:seconds").Float64Histogram()
	total, seen := uint64(0), uint64(0)
	for _, n := range h.Counts {
		total += n
	}
	for i, n := range h.Counts {
		if seen += n; float64(seen) >= 0.99*float64(total) {
			return h.Buckets[i+1] * 1e6
		}
	}
	return 0
}

// status is a line of /proc/self/status in MiB.
func status(field string) float64 {
	b, _ := os.ReadFile("/proc/self/status")
	_, after, _ := strings.Cut(string(b), field)
	var kib float64
	fmt.Sscan(after, &kib)
	return kib / 1024
}
