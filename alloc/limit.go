package alloc

import (
	"math"
	godebug "runtime/debug"
	"sync"
	"time"
)

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
