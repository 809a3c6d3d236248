package main

import "C"

import (
	"github.com/vcmalloc/vcmalloc/internal/cdoor"
	"github.com/vcmalloc/vcmalloc/internal/sys"
)

func main() {
	cdoor.Boot(0)
	cdoor.Malloc(0, 0)
	cdoor.Calloc(0, 0)
	cdoor.Aligned(0, 0, 0)
	cdoor.Realloc(0, 0, 0)
	cdoor.Free(0, 0)
	cdoor.FreeChecked(0, 0, 0)
	cdoor.FreeSized(0, 0, 0, 0)
	cdoor.Usable(0)
	cdoor.Good(0, 0)
	cdoor.ForkBegin(0)
	cdoor.ForkParent()
	cdoor.ForkChild(0)
	cdoor.Background()
	cdoor.Visit(0, 0)
	cdoor.Trim()
	cdoor.Release(0)
	cdoor.UseLocks()
	cdoor.Exit()
	cdoor.Stats(0)
	sys.PanicStub()
}
