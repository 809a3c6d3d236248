package alloc

import (
	"fmt"
	"reflect"
	"strconv"
	"sync/atomic"
	"unsafe"
)

// PointerError says why a type can't live outside the Go heap: the collector would not see the pointer.
type PointerError struct {
	Type reflect.Type // the type that was refused
	Path string       // where in it the pointer is: ".Items[].Name"; empty if the type itself is one
	Kind reflect.Type // what is there
}

func (e *PointerError) Error() string {
	if e.Path == "" {
		return fmt.Sprintf("vcmalloc: %v is or holds a Go pointer, which the garbage collector would not see outside its heap", e.Type)
	}
	return fmt.Sprintf("vcmalloc: %v can't live outside the Go heap: %v%s is a %v, and the garbage collector would not see it; "+
		"use OffHeapPtr, an index or an offset", e.Type, e.Type.Name(), e.Path, e.Kind)
}

// CheckType reports whether values of type T can live outside the Go heap: nil, or a *PointerError that names the
// first field that can't.
func CheckType[T any]() error { return checkType(reflect.TypeFor[T]()) }

// accepted remembers types that passed, by the addresses of their descriptors, which are static for types that
// generic functions are instantiated with. A collision costs another walk.
var accepted [1024]atomic.Uintptr

// checkType walks t unless it is known.
func checkType(t reflect.Type) error {
	id := uintptr((*[2]unsafe.Pointer)(unsafe.Pointer(&t))[1])
	slot := &accepted[id>>5%uintptr(len(accepted))]
	if slot.Load() == id {
		return nil
	}
	if path, kind := findPointer(t); kind != nil {
		return &PointerError{t, path, kind}
	}
	slot.Store(id)
	return nil
}

// findPointer is the path and type of the first pointer in t; no type if there is none.
func findPointer(t reflect.Type) (string, reflect.Type) {
	switch t.Kind() {
	case reflect.Array:
		if t.Len() == 0 {
			return "", nil
		}
		path, kind := findPointer(t.Elem())
		return "[]" + path, kind
	case reflect.Struct:
		for i := range t.NumField() {
			f := t.Field(i)
			if path, kind := findPointer(f.Type); kind != nil {
				name := f.Name
				if name == "_" {
					name = "_(field " + strconv.Itoa(i) + ")"
				}
				return "." + name + path, kind
			}
		}
		return "", nil
	case reflect.String, reflect.Slice, reflect.Map, reflect.Interface, reflect.Chan, reflect.Func, reflect.Pointer, reflect.UnsafePointer:
		return "", t
	default:
		return "", nil
	}
}
