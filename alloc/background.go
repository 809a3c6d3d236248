package alloc

import (
	"sync/atomic"
	"time"

	"github.com/vcmalloc/vcmalloc/internal/sys"
)

// idleTicks is after how many seconds without a slow call the background goroutine ends: by then what was
// free has been returned to the system as far as it ever will be without a new slow call.
const idleTicks = 120

// background is the goroutine that keeps the heap in shape. It starts with the first slow call and ends when
// there has been none for long; the next one starts it again.
var background struct {
	off     bool        // VCMALLOC_BACKGROUND=0
	running atomic.Bool // the goroutine is there
	needed  atomic.Bool // there was a slow call since it looked last
}

// wakeBackground notes a slow call. Two loads, most of the time.
func wakeBackground() {
	if !background.needed.Load() {
		background.needed.Store(true)
	}
	if !background.running.Load() && !background.off && background.running.CompareAndSwap(false, true) {
		openStashes()
		go tend()
	}
}

func tend() {
	ticks := 0
	for idle := 0; idle < idleTicks; idle++ {
		time.Sleep(time.Second)
		if background.needed.Swap(false) {
			idle = 0
		}
		if ticks++; ticks%stashTicks == 0 {
			trimStashes()
		}
		countStashes()
		now := sys.Now()
		for n := uint32(0); backgroundStep(now, n); n++ {
		}
		limitStashes(core.Short())
	}
	dropStashes(true) // nobody would look after them
	background.running.Store(false)
}

// backgroundStep is core.BackgroundStep. It is pinned, since locks of the core may be held on the way, for one step at a
// time: a tick as a whole may take milliseconds, in which the collector could not stop the world, nor
// another goroutine have the P.
func backgroundStep(now int64, n uint32) (more bool) {
	procPin()
	more = core.BackgroundStep(now, n)
	procUnpin()
	return more
}
