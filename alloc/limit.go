package alloc

import (
	"fmt"
	"math"
	godebug "runtime/debug"
	"sync"
	"time"
)

// minLimit is the least limit, in bytes: tables and caches alone need a few MiB.
const minLimit = 8 << 20

// SetMemoryLimit bounds the memory behind this package's heap and its tables, in bytes; 0 is no limit. It may be called at
// any time and replaces what VCMALLOC_LIMIT says. Above soft, free memory goes back to the system at once. A request
// that would exceed hard, after caches have been emptied and what is free has gone back, returns ErrOutOfMemory, and
// nothing has changed. Pages handed out and never touched count. Lowering a limit below what is in use frees nothing the
// program holds: hard then refuses until it has freed enough.
//
// The limit of the process's control group is looked at besides, whatever is set here: near it, free memory goes back.
// TrackMemoryLimit is the other side: what the Go heap has to leave for this one.
func SetMemoryLimit(soft, hard uintptr) error {
	if soft != 0 && soft < minLimit || hard != 0 && hard < minLimit {
		return fmt.Errorf("vcmalloc: a memory limit below %d bytes: soft %d, hard %d", minLimit, soft, hard)
	}
	if soft != 0 && hard != 0 && soft > hard {
		return fmt.Errorf("vcmalloc: a soft memory limit of %d bytes above the hard one of %d", soft, hard)
	}
	if err := start(); err != nil {
		return err
	}
	if soft != 0 || hard != 0 {
		ReleaseOSMemory() // step by step; what SetLimits would return, it would with the goroutine pinned
	}
	procPin()
	core.SetLimits(soft, hard)
	procUnpin()
	if stashes.most.Load() != 0 { // they may grow at all
		limitStashes(false)
	}
	return nil
}

// TrackMemoryLimit keeps GOMEMLIMIT honest. The runtime's limit does not count off-heap memory, so a program with
// a limit of 10 GiB and 6 GiB off-heap would use 16. From now on the runtime's limit is the one that was set, less
// what this package holds, renewed four times a second. The collector gets at least a tenth of the limit however
// much is off-heap: with less it would run all the time.
//
// stop ends it and sets the limit as it was. Without a limit there is nothing to do. To change the limit meanwhile
// call stop, set it, and call TrackMemoryLimit again.
func TrackMemoryLimit() (stop func()) {
	limit := godebug.SetMemoryLimit(-1)
	if limit == math.MaxInt64 || start() != nil {
		return func() {}
	}
	done := make(chan struct{})
	var wait sync.WaitGroup
	apply := func() {
		s := ReadStats()
		godebug.SetMemoryLimit(goLimit(limit, int64(s.Resident)))
	}
	apply()
	wait.Go(func() {
		tick := time.NewTicker(250 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				apply()
			}
		}
	})
	return sync.OnceFunc(func() {
		close(done)
		wait.Wait()
		godebug.SetMemoryLimit(limit)
	})
}

// goLimit is what is left of limit for the Go heap beside so much off-heap memory.
func goLimit(limit, offHeap int64) int64 { return max(limit-offHeap, limit/10) }
