package rtfree

import "strings"

// leaves are the runtime functions that compiled code may call as they are: assembly without calls out,
// that uses neither g nor the heap. Their bodies are trusted, with leafStack bytes of stack each.
var leaves = map[string]bool{
	"runtime.memmove":              true,
	"runtime.memclrNoHeapPointers": true,
	"runtime.memequal":             true,
	"runtime.duffzero":             true,
	"runtime.duffcopy":             true,
}

const leafStack = 64

// helpers may be called too and are walked by the rules of the core: functions (or, where the name ends in a
// dot, packages) without state.
var helpers = []string{
	"math/bits.",
	"sync/atomic.",
	"internal/runtime/atomic.",
	"internal/byteorder.",
	"syscall.RawSyscall",
	"syscall.RawSyscall6",
	"internal/runtime/syscall.Syscall6",       // until Go 1.25
	"internal/runtime/syscall/linux.Syscall6", // from Go 1.26
}

// checkPanics are the functions that compiled code calls when a check of the language fails and that the core
// may therefore contain calls of. The link tool redirects them.
var checkPanics = []string{"runtime.panicBounds", "runtime.panicIndex", "runtime.panicSlice", "runtime.goPanic",
	"runtime.panicdivide", "runtime.panicshift", "runtime.panicunsafe", "runtime.panicmakeslicelen"}

// otherPanics end in the runtime as well. The core may not call them, but should one be reached all the same,
// the link tool has it end in our message.
var otherPanics = []string{"runtime.panicwrap", "runtime.panicnil", "runtime.panicmem", "runtime.panicfloat",
	"runtime.panicoverflow", "runtime.panicdottype", "runtime.panicnildottype", "runtime.panicrangestate",
	"runtime.morestack", "runtime.throw", "runtime.fatal", "runtime.gopanic", "runtime.sigpanic", "runtime.newstack"}

// IsCheckPanic tells whether a symbol is a function of the runtime that a failed check of the language calls:
// index and slice bounds, division by zero, negative shifts.
func IsCheckPanic(symbol string) bool { return hasPrefix(symbol, checkPanics) }

// IsPanic tells whether a symbol is a function of the runtime that ends in a panic, a throw or a new stack, and
// that the link tool therefore redirects: those of IsCheckPanic and others.
func IsPanic(symbol string) bool {
	return !strings.Contains(symbol, ".func") && (IsCheckPanic(symbol) || hasPrefix(symbol, otherPanics))
}

func hasPrefix(s string, prefixes []string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	return false
}

// class tells what a function is to the core.
type class int

const (
	forbidden class = iota
	core            // of a core package: every rule holds
	helper          // outside, but walked by the same rules
	leaf            // trusted
	panics          // redirected to the stub, never returns
)

// classify tells what the function of a symbol is. Assembly has .abi0 appended to its name.
func (c *Config) classify(symbol string) class {
	name := strings.TrimSuffix(symbol, ".abi0")
	switch {
	case c.corePackage(name) != "":
		return core
	case IsCheckPanic(name) && c.PanicStub != "":
		return panics
	case leaves[name]:
		return leaf
	}
	for _, h := range helpers {
		if name == h || strings.HasSuffix(h, ".") && strings.HasPrefix(name, h) {
			return helper
		}
	}
	for _, a := range c.Allow {
		if name == a {
			return helper
		}
	}
	return forbidden
}

// corePackage returns the core package to which a symbol belongs, or "". The equality function of a type is
// named type:.eq.PKG.T and belongs to PKG.
func (c *Config) corePackage(symbol string) string {
	symbol = strings.TrimPrefix(symbol, "type:.eq.")
	for _, pkg := range c.Core {
		if strings.HasPrefix(symbol, symbolPrefix(pkg)) {
			return pkg
		}
	}
	return ""
}

// symbolPrefix is how the symbols of a package start: its import path, dots in the last element escaped.
func symbolPrefix(pkg string) string {
	slash := strings.LastIndexByte(pkg, '/') + 1
	return pkg[:slash] + strings.ReplaceAll(pkg[slash:], ".", "%2e") + "."
}
