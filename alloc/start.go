package alloc

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"unsafe"

	"github.com/vcmalloc/vcmalloc/internal/config"
	"github.com/vcmalloc/vcmalloc/internal/heap"
	"github.com/vcmalloc/vcmalloc/internal/sys"
	"github.com/vcmalloc/vcmalloc/percpu"
)

// minPs is how many Ps have a cache at least, even where there are fewer CPUs: GOMAXPROCS may be raised. Ps
// beyond are served by the transfer caches. A P that never ran costs address space only.
const minPs = 256

// ready makes the process's heap, once.
var ready = sync.OnceValue(func() bool {
	c := config.Default()
	c.Parse(environmentBlock(), false)
	o := heap.Options{Config: c, Seed: uint64(sys.Now()) ^ uint64(sys.Getpid())<<32}
	o.PerCPU = percpu.Options{
		Pinned: true,
		VCPUs:  min(max(minPs, uintptr(runtime.GOMAXPROCS(0)), sys.MaxCPUs()), percpu.MaxVCPUs),
	}
	if !core.Init(&o) {
		return false
	}
	expectPins()
	background.off = !c.Background
	switch {
	case debugByTag:
		debug.options.Quarantine = defaultQ
		makeDebugMaps()
		hooks.Or(hookDebug)
	case c.Check == config.CheckDefault:
		openDoor()
	}
	return true
})

// environmentBlock is this process's VCMALLOC_ variables as C has them: an array of addresses of NUL-terminated
// NAME=value, ended by 0. It stays for the life of the process: the configuration keeps paths in it. 0 if there
// are none, or no memory for them.
func environmentBlock() uintptr {
	var ours []string
	words, bytes := uintptr(1), uintptr(0)
	for _, v := range os.Environ() {
		if strings.HasPrefix(v, "VCMALLOC_") {
			ours = append(ours, v)
			words, bytes = words+1, bytes+uintptr(len(v))+1
		}
	}
	if len(ours) == 0 {
		return 0
	}
	block, e := sys.Mmap(0, words*8+bytes, sys.ProtRead|sys.ProtWrite, sys.MapPrivate)
	if e != 0 {
		return 0
	}
	at := block + words*8
	for i, v := range ours {
		sys.Store64(block+uintptr(i)*8, uint64(at))
		copy(unsafe.Slice((*byte)(sys.At(at)), len(v)), v)
		at += uintptr(len(v)) + 1
	}
	return block
}

// start makes the process's heap at the first call.
func start() error {
	if !ready() {
		return fmt.Errorf("%w: no address space for the heap", ErrOutOfMemory)
	}
	return nil
}
