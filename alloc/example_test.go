package alloc_test

import (
	"errors"
	"fmt"
	"sync"
	"unsafe"

	"github.com/vcmalloc/vcmalloc/alloc"
)

// cache keeps values off-heap under a map without pointers, which the collector does not scan either.
type cache struct {
	mu    sync.Mutex
	index map[uint64]alloc.OffHeapPtr[entry]
}

// entry is the head of a value; its bytes lie elsewhere off-heap.
type entry struct {
	bytes alloc.OffHeapPtr[byte]
	n     int
}

func (c *cache) put(key uint64, value []byte) error {
	b, err := alloc.Clone(value)
	if err != nil {
		return err
	}
	e, err := alloc.New[entry]()
	if err != nil {
		alloc.FreeSlice(b)
		return err
	}
	e.bytes.Set(&b[0])
	e.n = len(b)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop(key)
	c.index[key] = alloc.LinkTo(e)
	return nil
}

// get copies the value out: once the lock is released, another goroutine may free it.
func (c *cache) get(key uint64, into []byte) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.index[key].Get()
	if e == nil {
		return 0
	}
	return copy(into, unsafe.Slice(e.bytes.Get(), e.n))
}

func (c *cache) drop(key uint64) {
	if e := c.index[key].Get(); e != nil {
		alloc.FreeOf(e.bytes.Get())
		alloc.FreeOf(e)
		delete(c.index, key)
	}
}

// A cache whose values the collector never sees.
func Example_cache() {
	c := cache{index: map[uint64]alloc.OffHeapPtr[entry]{}}
	for k := range uint64(100_000) {
		if err := c.put(k, fmt.Appendf(nil, "value %d", k)); err != nil {
			fmt.Println(err)
			return
		}
	}
	var buf [32]byte
	fmt.Println(string(buf[:c.get(99_999, buf[:])]))
	for k := range uint64(100_000) {
		c.drop(k)
	}
	fmt.Println(len(c.index))
	// Output:
	// value 99999
	// 0
}

// column is a table's column: values and the offsets of its strings grow off-heap.
type column struct {
	ids     []int64
	offsets []uint32
	text    []byte
}

func (c *column) add(id int64, name string) (err error) {
	if c.ids, err = alloc.Append(c.ids, id); err != nil {
		return err
	}
	if c.offsets, err = alloc.Append(c.offsets, uint32(len(c.text))); err != nil {
		return err
	}
	c.text, err = alloc.Append(c.text, []byte(name)...)
	return err
}

func (c *column) free() {
	alloc.FreeSlice(c.ids)
	alloc.FreeSlice(c.offsets)
	alloc.FreeSlice(c.text)
}

// A column store: large slices that grow in place or move by page tables, and cost the collector nothing.
func Example_columnStore() {
	var c column
	defer c.free()
	for i := range int64(1_000_000) {
		if err := c.add(i*i, "row"); err != nil {
			fmt.Println(err)
			return
		}
	}
	sum := int64(0)
	for _, v := range c.ids {
		sum += v
	}
	fmt.Println(sum, string(c.text[c.offsets[7]:c.offsets[8]]))
	// Output: 333332833333500000 row
}

// An arena per request: everything a request makes goes at once, and the next one gets the same memory from its P's cache.
// (A sync.Pool of arenas would be slower, and lose memory: it forgets what it holds without a call of Free.)
func Example_arenaPerRequest() {
	handle := func(words ...string) (int, error) {
		a := alloc.NewArena(64 << 10)
		defer a.Free()
		type token struct {
			at, length int
			next       alloc.OffHeapPtr[token]
		}
		var list alloc.OffHeapPtr[token]
		var text []byte
		for _, w := range words {
			t, err := alloc.NewIn[token](a)
			if err != nil {
				return 0, err
			}
			t.at, t.length, t.next = len(text), len(w), list
			list.Set(t)
			if text, err = alloc.AppendIn(a, text, []byte(w)...); err != nil {
				return 0, err
			}
		}
		n := 0
		for t := list.Get(); t != nil; t = t.next.Get() {
			n += t.length
		}
		return n, nil
	}
	fmt.Println(handle("an", "arena", "per", "request"))
	// Output: 17 <nil>
}

// Types with Go pointers are refused, with the path to the pointer.
func ExampleNew() {
	type user struct {
		ID   int
		Tags []string
	}
	_, err := alloc.New[user]()
	var p *alloc.PointerError
	fmt.Println(errors.As(err, &p), p.Path, p.Kind)
	// Output: true .Tags []string
}

// How much each part of a program holds.
func ExampleAccount() {
	index := alloc.NewAccount("index")
	b, err := index.MallocSlice(1000)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%+v\n", index.Stats())
	index.FreeSlice(b)
	fmt.Printf("%+v\n", index.Stats())
	// Output:
	// {Requested:1000 Usable:1024 Objects:1}
	// {Requested:0 Usable:0 Objects:0}
}

// An index that stays does not share pages with what a request needs, and an archive not with what is read all the time.
func ExampleHint() {
	index, err := alloc.MakeIn[uint64](alloc.LongLived, 0, 1000)
	if err != nil {
		fmt.Println(err)
		return
	}
	index, err = alloc.Append(index, 7) // keeps the hint, wherever it moves
	defer func() { alloc.FreeSlice(index) }()
	archive, err2 := alloc.CopyBytes(alloc.Cold, []byte("once written, hardly ever read"))
	defer alloc.FreeSlice(archive)
	request := alloc.ShortLived.NewArena(64 << 10)
	defer request.Free()
	word, err3 := alloc.CopyString(request, "arena")
	fmt.Println(index[0], len(archive), word, errors.Join(err, err2, err3))
	// Output: 7 30 arena <nil>
}

// In debug mode a use of an arena that has been freed ends in a panic with the stacks of its allocation and its free. It has
// no output here, since debug mode has no way back.
func ExampleCatchFaults() {
	if err := alloc.EnableDebug(alloc.DebugOptions{}); err != nil {
		fmt.Println(err)
		return
	}
	defer alloc.CatchFaults()() // in each goroutine that uses arenas
	request := alloc.NewArena(0)
	word, err := alloc.CopyString(request, "arena")
	if err != nil {
		fmt.Println(err)
		return
	}
	request.Free()
	fmt.Println(word[0]) // panic: vcmalloc: use after free: …
}
