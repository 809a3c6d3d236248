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
		procPin() // a core lock may be held on the way
		core.Background(sys.Now())
		procUnpin()
		limitStashes(core.Short())
	}
	dropStashes(true) // nobody would look after them
	background.running.Store(false)
}
