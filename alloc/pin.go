package alloc

import _ "unsafe" // for linkname

// procPin disables preemption and returns the P's number; procUnpin undoes it. The runtime keeps both
// reachable by linkname.
//
//go:linkname procPin runtime.procPin
func procPin() int

//go:linkname procUnpin runtime.procUnpin
func procUnpin()
