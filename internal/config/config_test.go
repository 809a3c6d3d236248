package config

import (
	"strings"
	"testing"

	"github.com/vcmalloc/vcmalloc/internal/sys"
)

const all = PerCPUResize | NUCA | SpanPriority | LifetimeFiller

func TestGoodValuesAreTakenSilently(t *testing.T) {
	for _, c := range []struct {
		env  string // separated by blanks
		want func(*Config)
	}{
		{"", func(*Config) {}},
		{"CHECK=0", func(*Config) {}},
		{"CHECK=1", func(c *Config) { c.Check = CheckFull }},
		{"CHECK=report", func(c *Config) { c.Check = CheckReport }},
		{"CHECK=1 CHECK=0", func(*Config) {}},
		{"STATS=exit", func(c *Config) { c.StatsAtExit = true }},
		{"STATS=exit STATS=0", func(*Config) {}},
		{"STATS=", func(*Config) {}},
		{"STATS_DIR=", func(*Config) {}},
		{"VCPU=auto", func(*Config) {}},
		{"VCPU=mm_cid", func(c *Config) { c.VCPU = VCPUMMCID }},
		{"VCPU=cpu", func(c *Config) { c.VCPU = VCPUCPU }},
		{"VCPU=lock", func(c *Config) { c.VCPU = VCPULock }},
		{"BACKGROUND=0", func(c *Config) { c.Background = false }},
		{"BACKGROUND=1", func(*Config) {}},
		{"BACKGROUND=0 BACKGROUND=1", func(*Config) {}},
		{"BACKGROUND_FROM=0", func(c *Config) { c.BackgroundFrom = 0 }},
		{"BACKGROUND_FROM=123", func(c *Config) { c.BackgroundFrom = 123 }},
		{"BACKGROUND_FROM=1k", func(c *Config) { c.BackgroundFrom = 1 << 10 }},
		{"BACKGROUND_FROM=77M", func(c *Config) { c.BackgroundFrom = 77 << 20 }},
		{"BACKGROUND_FROM=3g", func(c *Config) { c.BackgroundFrom = 3 << 30 }},
		{"BACKGROUND_FROM=00012K", func(c *Config) { c.BackgroundFrom = 12 << 10 }},
		{"BACKGROUND_FROM=999999999999999", func(c *Config) { c.BackgroundFrom = 999999999999999 }},
		{"PERCPU_LIMIT=0", func(*Config) {}},
		{"PERCPU_LIMIT=256k", func(c *Config) { c.PerCPULimit = 256 << 10 }},
		{"PERCPU_LIMIT=1g", func(c *Config) { c.PerCPULimit = 1 << 30 }},
		{"PERCPU_LIMIT=1572864", func(c *Config) { c.PerCPULimit = 3 << 19 }},
		{"PERCPU_LIMIT=4m PERCPU_LIMIT=0", func(*Config) {}},
		{"PERCPU_POLICY=paper", func(c *Config) { c.PerCPUPolicy = PolicyPaper }},
		{"PERCPU_POLICY=paper PERCPU_POLICY=demand", func(*Config) {}},
		{"TICK=1", func(c *Config) { c.TickMillis = 1 }},
		{"TICK=1000", func(c *Config) { c.TickMillis = 1000 }},
		{"LIMIT=auto", func(*Config) {}},
		{"LIMIT=none", func(c *Config) { c.Unaware = true }},
		{"COLLAPSE=none", func(c *Config) { c.NoCollapse = true }},
		{"COLLAPSE=auto", func(c *Config) {}},
		{"LIMIT=512m", func(c *Config) { c.SoftLimit = 512 << 20 }},
		{"LIMIT=512m,1g", func(c *Config) { c.SoftLimit, c.HardLimit = 512<<20, 1<<30 }},
		{"LIMIT=8m,8m", func(c *Config) { c.SoftLimit, c.HardLimit = 8<<20, 8<<20 }},
		{"LIMIT=512m,1g LIMIT=auto", func(*Config) {}},
		{"FEATURES=", func(*Config) {}},
		{"FEATURES=all", func(*Config) {}},
		{"FEATURES=-all", func(c *Config) { c.Legacy = all }},
		{"FEATURES=-percpu_resize", func(c *Config) { c.Legacy = PerCPUResize }},
		{"FEATURES=-nuca", func(c *Config) { c.Legacy = NUCA }},
		{"FEATURES=-span_priority", func(c *Config) { c.Legacy = SpanPriority }},
		{"FEATURES=-lifetime_filler", func(c *Config) { c.Legacy = LifetimeFiller }},
		{"FEATURES=-percpu_resize,-nuca,-span_priority,-lifetime_filler", func(c *Config) { c.Legacy = all }},
		{"FEATURES=-all,+nuca,span_priority", func(c *Config) { c.Legacy = PerCPUResize | LifetimeFiller }},
		{"FEATURES=-numa", func(c *Config) { c.Legacy = NUMA }},
		{"FEATURES=-all,-numa,+all", func(c *Config) { c.Legacy = NUMA }},
		{"FEATURES=nuca,-nuca,", func(c *Config) { c.Legacy = NUCA }},
		{"FEATURES=-nuca FEATURES=-span_priority", func(c *Config) { c.Legacy = NUCA | SpanPriority }},
		{"FEATURES=-all FEATURES=+nuca", func(c *Config) { c.Legacy = all &^ NUCA }},
		{"CHECK=1 VCPU=cpu BACKGROUND=0 STATS=exit", func(c *Config) {
			c.Check, c.VCPU, c.Background, c.StatsAtExit = CheckFull, VCPUCPU, false, true
		}},
	} {
		t.Run(c.env, func(t *testing.T) {
			var entries []string
			for v := range strings.FieldsSeq(c.env) {
				entries = append(entries, "HOME=/root", "VCMALLOC_"+v)
			}
			want := Default()
			c.want(&want)
			got, text := parse(t, false, entries...)
			if got != want || text != "" {
				t.Errorf("%+v, want %+v; printed %q", got, want, text)
			}
		})
	}
}

func TestBadValuesCostOneLineAndLeaveTheDefault(t *testing.T) {
	const list = "use a list of -NAME or +NAME of percpu_resize, nuca, span_priority, lifetime_filler, numa, all"
	const number = "use a number of bytes, such as 1572864, 1536k or 64m"
	for _, c := range []struct{ env, use string }{
		{"CHECK=", "use 0, 1 or report"},
		{"CHECK=2", "use 0, 1 or report"},
		{"CHECK=11", "use 0, 1 or report"},
		{"CHECK=reports", "use 0, 1 or report"},
		{"CHECK=Report", "use 0, 1 or report"},
		{"STATS=1", "use exit"},
		{"STATS=exits", "use exit"},
		{"VCPU=", "use auto, mm_cid, cpu or lock"},
		{"VCPU=mm_ci", "use auto, mm_cid, cpu or lock"},
		{"VCPU=locked", "use auto, mm_cid, cpu or lock"},
		{"PERCPU_POLICY=", "use demand or paper"},
		{"PERCPU_POLICY=papers", "use demand or paper"},
		{"TICK=", "use 1 to 1000 (milliseconds)"},
		{"TICK=0", "use 1 to 1000 (milliseconds)"},
		{"TICK=1001", "use 1 to 1000 (milliseconds)"},
		{"TICK=5s", "use 1 to 1000 (milliseconds)"},
		{"TICK=99999999999999999999", "use 1 to 1000 (milliseconds)"},
		{"BACKGROUND=", "use 0 or 1"},
		{"BACKGROUND=yes", "use 0 or 1"},
		{"BACKGROUND=01", "use 0 or 1"},
		{"BACKGROUND_FROM=", number},
		{"BACKGROUND_FROM=k", number},
		{"BACKGROUND_FROM=1kb", number},
		{"BACKGROUND_FROM=-1", number},
		{"BACKGROUND_FROM=1t", number},
		{"BACKGROUND_FROM=1 ", number},
		{"BACKGROUND_FROM=1.5m", number},
		{"BACKGROUND_FROM=0x10", number},
		{"BACKGROUND_FROM=1000000000000000", number},
		{"BACKGROUND_FROM=99999999999999999999999", number},
		{"BACKGROUND_FROM=999999999999999g", number},
		{"PERCPU_LIMIT=1", "use 256k to 1g"},
		{"PERCPU_LIMIT=262143", "use 256k to 1g"},
		{"PERCPU_LIMIT=1025m", "use 256k to 1g"},
		{"PERCPU_LIMIT=lots", number},
		{"FEATURES=nuca2", list},
		{"FEATURES=-", list},
		{"FEATURES=-nuca,,-all", list},
		{"FEATURES=-nuca,bogus", list},
		{"FEATURES=-all,-NUCA", list},
		{"FEATURES=--nuca", list},
		{"FEATURES=nuca span_priority", list},
		{"NOSUCH=1", "there is no such variable: docs/tuning.md lists them"},
		{"CHECKS=1", "there is no such variable: docs/tuning.md lists them"},
		{"CHECK", "there is no such variable: docs/tuning.md lists them"},
		{"check=1", "there is no such variable: docs/tuning.md lists them"},
		{"", "there is no such variable: docs/tuning.md lists them"},
	} {
		t.Run(c.env, func(t *testing.T) {
			got, text := parse(t, false, "A=b", "VCMALLOC_"+c.env, "Z=")
			want := "vcmalloc: VCMALLOC_" + c.env + ": not understood, the default is used; " + c.use + "\n"
			if got != Default() || text != want {
				t.Errorf("%+v; printed %q, want %q", got, text, want)
			}
		})
	}
}

func TestABadValueDoesNotHideGoodOnes(t *testing.T) {
	got, text := parse(t, false, "VCMALLOC_VCPU=lock", "VCMALLOC_CHECK=x", "VCMALLOC_STATS=exit", "VCMALLOC_Y=1")
	want := Default()
	want.VCPU, want.StatsAtExit = VCPULock, true
	if got != want || strings.Count(text, "\n") != 2 {
		t.Errorf("%+v, printed %q", got, text)
	}
}

func TestOtherVariablesMeanNothing(t *testing.T) {
	got, text := parse(t, false, "", "=", "VCMALLOC", "VCMALLOCCHECK=1", "vcmalloc_check=1", "XVCMALLOC_CHECK=1", "PATH=VCMALLOC_CHECK=1", "V", "VCMALLOC=1")
	if got != Default() || text != "" {
		t.Errorf("%+v, printed %q", got, text)
	}
}

func TestNoEnvironmentIsTheDefault(t *testing.T) {
	c := Default()
	if c.Parse(0, false); c != Default() {
		t.Errorf("no block: %+v", c)
	}
	if got, text := parse(t, false); got != Default() || text != "" {
		t.Errorf("empty block: %+v, %q", got, text)
	}
}

func TestStatsDirPointsIntoTheEnvironment(t *testing.T) {
	c := Default()
	c.Parse(environ(t, "A=b", "VCMALLOC_STATS_DIR=/run/vcm stats", "C=d"), false)
	if path(c.StatsDir) != "/run/vcm stats" {
		t.Errorf("%q", path(c.StatsDir))
	}
}

// A program that runs with more rights than its caller must not write where the caller says, nor go on
// after an error because the caller says so.
func TestSecureModeIgnoresWhatWritesFilesOrChangesErrors(t *testing.T) {
	got, text := parse(t, true, "VCMALLOC_CHECK=report", "VCMALLOC_CHECK=bad", "VCMALLOC_STATS=exit", "VCMALLOC_STATS=bad", "VCMALLOC_STATS_DIR=/tmp")
	if got != Default() || text != "" {
		t.Errorf("%+v, printed %q", got, text)
	}
	got, text = parse(t, true, "VCMALLOC_VCPU=lock", "VCMALLOC_FEATURES=-nuca", "VCMALLOC_BACKGROUND=0", "VCMALLOC_BACKGROUND_FROM=1g", "VCMALLOC_PERCPU_LIMIT=1m")
	want := Config{VCPU: VCPULock, Legacy: NUCA, BackgroundFrom: 1 << 30, PerCPULimit: 1 << 20}
	if got != want || text != "" {
		t.Errorf("%+v, want %+v; printed %q", got, want, text)
	}
}

func TestLinesHoldNoControlBytesAndEnd(t *testing.T) {
	_, text := parse(t, false, "VCMALLOC_CHECK=\x1b[2J\n\x07"+strings.Repeat("x", 5000))
	if strings.Count(text, "\n") != 1 || strings.ContainsAny(text, "\x1b\x07") || len(text) > 400 {
		t.Errorf("%q", text)
	}
	if !strings.HasPrefix(text, "vcmalloc: VCMALLOC_CHECK=?[2J??xxx") || !strings.HasSuffix(text, "; use 0, 1 or report\n") {
		t.Errorf("%q", text)
	}
}

// Whatever the environment holds, parsing ends, reads nothing behind a value, and prints whole lines.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"CHECK=1", "FEATURES=-nuca,+all,", "PERCPU_LIMIT=12m", "BACKGROUND_FROM=9g", "STATS_DIR=/x", "VCPU=cpu", "X=\x00\xff"} {
		f.Add(s, false)
		f.Add(s, true)
	}
	f.Fuzz(func(t *testing.T, s string, secure bool) {
		s, _, _ = strings.Cut(s, "\x00")
		got, text := parse(t, secure, "VCMALLOC_"+s)
		if text != "" && (got != Default() || !strings.HasPrefix(text, "vcmalloc: VCMALLOC_") || strings.Count(text, "\n") != 1) {
			t.Fatalf("%q: %+v, printed %q", s, got, text)
		}
		if got.Check > CheckReport || got.VCPU > VCPULock || got.Legacy&^(all|NUMA) != 0 || got.PerCPULimit > 1<<30 {
			t.Fatalf("%q: %+v", s, got)
		}
		if got.StatsDir != 0 && (secure || sys.Byte(got.StatsDir) == 0) {
			t.Fatalf("%q: a folder for statistics", s)
		}
	})
}
