//go:build !race

package alloc

import "github.com/vcmalloc/vcmalloc/internal/heap"

// core is the process's heap.
var core = &heap.Process
