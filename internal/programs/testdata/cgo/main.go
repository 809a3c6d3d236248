// Command cgo is a Go program that allocates in C from many goroutines and hands strings across: what is
// allocated on one thread is read and freed on another, while the Go runtime moves goroutines about and
// preempts threads with signals. TestCgo builds and runs it.
package main

/*
#include <stdlib.h>
#include <string.h>

static char *fill(size_t n, int c) {
	char *p = malloc(n + 1);
	if (p == NULL) return NULL;
	memset(p, c, n);
	p[n] = 0;
	return p;
}

static int check(const char *p, size_t n, int c) {
	for (size_t i = 0; i < n; i++)
		if (p[i] != (char)c) return 0;
	return p[n] == 0;
}

static char *join(const char *a, const char *b) {
	char *p = malloc(strlen(a) + strlen(b) + 1);
	if (p == NULL) return NULL;
	strcpy(p, a);
	return strcat(p, b);
}

// A list grown by realloc and calloc, to be taken apart by the caller's free.
struct list { size_t n; char **items; };
static struct list *build(size_t n) {
	struct list *l = calloc(1, sizeof *l);
	for (size_t i = 0; i < n; i++) {
		l->items = realloc(l->items, (i + 1) * sizeof *l->items);
		l->items[i] = fill(i % 200, 'a' + i % 26);
		l->n++;
	}
	return l;
}
static int take_apart(struct list *l) {
	int good = 0;
	for (size_t i = 0; i < l->n; i++) {
		good += check(l->items[i], i % 200, 'a' + i % 26);
		free(l->items[i]);
	}
	free(l->items);
	free(l);
	return good;
}

int callback(char *p, int n);
static int call_back(int n) {
	char *p = fill(n, 'c');
	int r = callback(p, n);
	free(p);
	return r;
}
*/
import "C"

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"unsafe"
)

// callback is called from C: it allocates in C again, from inside the call.
//
//export callback
func callback(p *C.char, n C.int) C.int {
	s := C.GoStringN(p, n)
	q := C.CString(s + s)
	defer C.free(unsafe.Pointer(q))
	return C.int(C.strlen(q))
}

type block struct {
	p *C.char
	n int
	c int
}

func main() {
	debug.SetGCPercent(20) // the collector's signals and stack scans, often
	const goroutines, turns = 64, 1500
	var (
		work             sync.WaitGroup
		freed            sync.WaitGroup
		handed           = make(chan block, 1000)
		blocks, good     atomic.Int64
		joined, callsLen atomic.Int64
	)
	for range 8 {
		freed.Go(func() {
			for b := range handed {
				if C.check(b.p, C.size_t(b.n), C.int(b.c)) == 0 {
					fmt.Println("a block changed between goroutines:", b.n, b.c)
					os.Exit(1)
				}
				C.free(unsafe.Pointer(b.p))
				blocks.Add(1)
			}
		})
	}
	for g := range goroutines {
		work.Go(func() {
			if g%4 == 0 {
				runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
			}
			for i := range turns {
				n := (g*31 + i*17) % 3000
				if i%100 == 0 {
					n *= 100
				}
				c := 'a' + (g+i)%26
				handed <- block{C.fill(C.size_t(n), C.int(c)), n, c}
				if i%10 == 0 {
					a, b := C.CString(strings.Repeat("x", i)), C.CString(fmt.Sprint(g, i))
					j := C.join(a, b)
					joined.Add(int64(len(C.GoString(j))))
					C.free(unsafe.Pointer(a))
					C.free(unsafe.Pointer(b))
					C.free(unsafe.Pointer(j))
				}
				if i%50 == 0 {
					callsLen.Add(int64(C.call_back(C.int(i))))
				}
				if i%300 == 0 {
					l := C.build(500)
					runtime.Gosched()
					good.Add(int64(C.take_apart(l)))
				}
			}
		})
	}
	work.Wait()
	close(handed)
	freed.Wait()
	fmt.Println("blocks", blocks.Load(), "lists", good.Load(), "joined", joined.Load(), "callbacks", callsLen.Load())
}
