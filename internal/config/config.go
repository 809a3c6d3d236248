// Package config reads the VCMALLOC_* environment variables, once, without allocating, from the environment
// block the process was started with. docs/tuning.md has the table for users; a test holds it against this
// code. A bad value costs one line on standard error and leaves the default.
package config

import (
	"github.com/vcmalloc/vcmalloc/internal/sys"
	"github.com/vcmalloc/vcmalloc/internal/units"
)

// Check says what happens on misuse (a double free, a foreign pointer…).
type Check uint8

const (
	// CheckDefault detects what costs a few cycles, and aborts.
	CheckDefault Check = iota
	// CheckFull sends every call down the checked path, and aborts.
	CheckFull
	// CheckReport is CheckFull, but prints the line, ignores the bad call and goes on.
	CheckReport
)

// VCPU says how the C door finds the cache of the CPU it runs on.
type VCPU uint8

const (
	VCPUAuto  VCPU = iota // the first that works of the following
	VCPUMMCID             // rseq's mm_cid: dense per process
	VCPUCPU               // rseq's cpu_id
	VCPULock              // the CPU's number, and a lock
)

// Policy says by which rule budgets move between vCPUs.
type Policy uint8

const (
	PolicyDemand Policy = iota // smoothed demand
	PolicyPaper                // the misses of the last five seconds
)

// Config is a heap's settings: flat numbers, so that it can live in static memory. Paths point into the
// environment block, which outlives the process's need.
type Config struct {
	Check        Check
	VCPU         VCPU
	StatsAtExit  bool
	Background   bool // a thread may be started
	Legacy       Features
	PerCPULimit  units.Bytes // 0: the design's default
	PerCPUPolicy Policy
	TickMillis   uint32 // length of a tick of the background work; 0: a second
	// BackgroundFrom is how many bytes the heap must have before the thread starts.
	BackgroundFrom units.Bytes
	StatsDir       uintptr // NUL-terminated path, 0 for none
	// What the heap may have memory behind; 0: no limit. Unaware: control groups and stalls are not looked at.
	SoftLimit, HardLimit units.Bytes
	Unaware              bool
	Retain               bool    // free memory goes back on request, at a limit or on an alarm, and not by itself
	NoCollapse           bool    // small pages are left as they are, and /proc/self/pagemap closed
	Topology             uintptr // NUL-terminated, for topology.Override; 0 for none. The heap says what is wrong with it
}

// Features is a set of designs.
type Features uint8

// The paper's four designs, and what is switched like them; in Config.Legacy, those switched off.
const (
	PerCPUResize Features = 1 << iota
	NUCA
	SpanPriority
	LifetimeFiller

	NUMA // heaps for NUMA nodes: no design of the paper, and no part of all
)

// Default is the configuration of an empty environment.
func Default() Config {
	// 64 MiB: small tools end before a thread would have paid for itself.
	return Config{Background: true, BackgroundFrom: 64 << 20}
}

// Parse reads the environment block at envp (an array of pointers to NUL-terminated NAME=value, ended by a
// nil pointer). secure is set for programs that run with more rights than their caller: then only variables
// that can neither write files nor change what a program does on errors are read.
func (c *Config) Parse(envp uintptr, secure bool) {
	if envp == 0 {
		return
	}
	for ; ; envp += 8 {
		entry := uintptr(sys.Load64(envp))
		if entry == 0 {
			return
		}
		if v := after(entry, "VCMALLOC_"); v != 0 {
			c.one(v, secure)
		}
	}
}

// one applies the variable whose name goes on at p.
func (c *Config) one(p uintptr, secure bool) {
	switch {
	case after(p, "CHECK=") != 0:
		if !secure {
			c.check(after(p, "CHECK="))
		}
	case after(p, "STATS=") != 0:
		if !secure {
			c.stats(after(p, "STATS="))
		}
	case after(p, "STATS_DIR=") != 0:
		c.statsDir(p, after(p, "STATS_DIR="), secure)
	case after(p, "LIB=") != 0: // where cmd/vcmalloc finds the library; nothing to the library itself
	case after(p, "FEATURES=") != 0:
		c.features(after(p, "FEATURES="))
	case after(p, "TOPOLOGY=") != 0:
		c.Topology = after(p, "TOPOLOGY=")
	case after(p, "VCPU=") != 0:
		c.vcpu(after(p, "VCPU="))
	case after(p, "BACKGROUND=") != 0:
		v := after(p, "BACKGROUND=")
		switch {
		case is(v, "1"):
			c.Background = true
		case is(v, "0"):
			c.Background = false
		default:
			bad(p, "use 0 or 1")
		}
	case after(p, "BACKGROUND_FROM=") != 0:
		c.BackgroundFrom = size(p, after(p, "BACKGROUND_FROM="), c.BackgroundFrom)
	case after(p, "LIMIT=") != 0:
		c.limit(p, after(p, "LIMIT="))
	case after(p, "RELEASE=") != 0:
		c.Retain = none(p, after(p, "RELEASE="), c.Retain)
	case after(p, "COLLAPSE=") != 0:
		c.NoCollapse = none(p, after(p, "COLLAPSE="), c.NoCollapse)
	case after(p, "PERCPU_LIMIT=") != 0:
		n := size(p, after(p, "PERCPU_LIMIT="), c.PerCPULimit)
		if n != 0 && (n < units.MaxSmall || n > 1<<30) {
			bad(p, "use 256k to 1g")
			return
		}
		c.PerCPULimit = n
	case after(p, "PERCPU_POLICY=") != 0:
		c.policy(after(p, "PERCPU_POLICY="))
	case after(p, "TICK=") != 0:
		c.tick(p, after(p, "TICK="))
	default:
		bad(p, "there is no such variable: docs/tuning.md lists them")
	}
}

// none is whether the value v of the variable at p says none and not auto; old if it says neither.
func none(p, v uintptr, old bool) bool {
	switch {
	case is(v, "auto"):
		return false
	case is(v, "none"):
		return true
	}
	bad(p, "use auto or none")
	return old
}

func (c *Config) check(v uintptr) {
	switch {
	case is(v, "0"):
		c.Check = CheckDefault
	case is(v, "1"):
		c.Check = CheckFull
	case is(v, "report"):
		c.Check = CheckReport
	default:
		bad(v-6, "use 0, 1 or report")
	}
}

func (c *Config) stats(v uintptr) {
	switch {
	case is(v, "exit"):
		c.StatsAtExit = true
	case is(v, "") || is(v, "0"):
		c.StatsAtExit = false
	default:
		bad(v-6, "use exit")
	}
}

func (c *Config) statsDir(name, v uintptr, secure bool) {
	switch {
	case secure || sys.Byte(v) == 0:
	case sys.Byte(v) != '/':
		bad(name, "use an absolute path: programs change their directory")
	default:
		c.StatsDir = v
	}
}

func (c *Config) vcpu(v uintptr) {
	switch {
	case is(v, "auto"):
		c.VCPU = VCPUAuto
	case is(v, "mm_cid"):
		c.VCPU = VCPUMMCID
	case is(v, "cpu"):
		c.VCPU = VCPUCPU
	case is(v, "lock"):
		c.VCPU = VCPULock
	default:
		bad(v-5, "use auto, mm_cid, cpu or lock")
	}
}

func (c *Config) policy(v uintptr) {
	switch {
	case is(v, "demand"):
		c.PerCPUPolicy = PolicyDemand
	case is(v, "paper"):
		c.PerCPUPolicy = PolicyPaper
	default:
		bad(v-14, "use demand or paper")
	}
}

func (c *Config) tick(name, v uintptr) {
	n := uint32(0)
	for ; sys.Byte(v)-'0' <= 9 && n <= 1000; v++ {
		n = n*10 + uint32(sys.Byte(v)-'0')
	}
	if sys.Byte(v) != 0 || n == 0 || n > 1000 {
		bad(name, "use 1 to 1000 (milliseconds)")
		return
	}
	c.TickMillis = n
}

// features reads a list like -nuca,+span_priority; a name alone means +. A list with a bad element has no effect.
func (c *Config) features(v uintptr) {
	legacy := c.Legacy
	for p := v; sys.Byte(p) != 0; {
		off := sys.Byte(p) == '-'
		if off || sys.Byte(p) == '+' {
			p++
		}
		f, end := feature(p)
		if f == 0 {
			bad(v-9, "use a list of -NAME or +NAME of percpu_resize, nuca, span_priority, lifetime_filler, numa, all")
			return
		}
		if off {
			legacy |= f
		} else {
			legacy &^= f
		}
		p = end
		if sys.Byte(p) == ',' {
			p++
		}
	}
	c.Legacy = legacy
}

// feature is the feature named at p and where its name ends; 0 if there is none.
func feature(p uintptr) (Features, uintptr) {
	if e := word(p, "percpu_resize"); e != 0 {
		return PerCPUResize, e
	}
	if e := word(p, "nuca"); e != 0 {
		return NUCA, e
	}
	if e := word(p, "span_priority"); e != 0 {
		return SpanPriority, e
	}
	if e := word(p, "lifetime_filler"); e != 0 {
		return LifetimeFiller, e
	}
	if e := word(p, "numa"); e != 0 {
		return NUMA, e
	}
	if e := word(p, "all"); e != 0 {
		return PerCPUResize | NUCA | SpanPriority | LifetimeFiller, e
	}
	return 0, 0
}

// limit reads auto, none, or one or two sizes: SOFT or SOFT,HARD.
func (c *Config) limit(name, v uintptr) {
	switch {
	case is(v, "auto"):
		c.SoftLimit, c.HardLimit, c.Unaware = 0, 0, false
		return
	case is(v, "none"):
		c.SoftLimit, c.HardLimit, c.Unaware = 0, 0, true
		return
	}
	soft, end, ok := number(v)
	hard := units.Bytes(0)
	if ok && sys.Byte(end) == ',' {
		hard, end, ok = number(end + 1)
		ok = ok && hard >= max(soft, leastLimit)
	}
	if !ok || sys.Byte(end) != 0 || soft < leastLimit {
		bad(name, "use auto, none, SOFT or SOFT,HARD: sizes such as 512m,1g, of at least 8m, SOFT not above HARD")
		return
	}
	c.SoftLimit, c.HardLimit = soft, hard
}

// leastLimit: tables and per-CPU caches alone need a few MiB.
const leastLimit = 8 << 20

// size reads a byte count with an optional suffix k, m or g; on nonsense it says so and returns old.
func size(name, v uintptr, old units.Bytes) units.Bytes {
	n, end, ok := number(v)
	if !ok || sys.Byte(end) != 0 {
		bad(name, "use a number of bytes, such as 1572864, 1536k or 64m")
		return old
	}
	return n
}

// number reads a byte count with an optional suffix, and where it ends.
func number(v uintptr) (n units.Bytes, end uintptr, ok bool) {
	digits := 0
	for ; ; v++ {
		d := sys.Byte(v) - '0'
		if d > 9 {
			break
		}
		if digits++; digits > 15 {
			break
		}
		n = n*10 + uintptr(d)
	}
	shift := uintptr(0)
	switch sys.Byte(v) | 0x20 {
	case 'k':
		shift = 10
	case 'm':
		shift = 20
	case 'g':
		shift = 30
	}
	if shift > 0 {
		v++
	}
	return n << shift, v, digits > 0 && digits <= 15 && n<<shift>>shift == n
}

// after is the address behind prefix if the text at p begins with it, else 0.
func after(p uintptr, prefix string) uintptr {
	for i := 0; i < len(prefix); i++ {
		if sys.Byte(p) != prefix[i] {
			return 0
		}
		p++
	}
	return p
}

// word is after, for a whole list element.
func word(p uintptr, w string) uintptr {
	if e := after(p, w); e != 0 && (sys.Byte(e) == 0 || sys.Byte(e) == ',') {
		return e
	}
	return 0
}

// is reports whether the text at p is s and ends there.
func is(p uintptr, s string) bool {
	e := after(p, s)
	return e != 0 && sys.Byte(e) == 0
}

func bad(p uintptr, use string) {
	var l sys.Line
	l.Str("vcmalloc: VCMALLOC_").CStr(p, 120).Str(": not understood, the default is used; ").Str(use).Flush()
}
