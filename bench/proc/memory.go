package proc

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"time"
)

var nan = math.NaN()

// Look is one look at a program's memory, in bytes.
type Look struct {
	At               time.Duration // since the first look
	RSS, Anon, Huge  float64       // resident; of it anonymous; of that in hugepages
	Shared           float64       // Pss where it was asked for: pages shared in the tree count once
	proportionalUsed bool
}

// Memory sums up the looks of one run.
type Memory struct {
	Looks    []Look
	AvgRSS   float64
	PeakRSS  float64 // of the looks: a lower bound; Result.PeakRSS is exact for one process
	AvgAnon  float64
	AvgHuge  float64
	Coverage float64 // AvgHuge / AvgAnon
}

type poller struct {
	quit chan struct{}
	out  chan *Memory
}

func watch(pid int, every time.Duration, tree bool) *poller {
	p := &poller{quit: make(chan struct{}), out: make(chan *Memory, 1)}
	go func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		var looks []Look
		start := time.Now()
		for {
			select {
			case <-p.quit:
				p.out <- summarise(looks)
				return
			case <-tick.C:
				if l, err := look(pid, tree); err == nil && l.RSS > 0 {
					l.At = time.Since(start)
					looks = append(looks, l)
				}
			}
		}
	}()
	return p
}

func (p *poller) stop() *Memory {
	close(p.quit)
	return <-p.out
}

// summarise takes the looks as equally far apart in time.
func summarise(looks []Look) *Memory {
	m := &Memory{Looks: looks}
	if len(looks) == 0 {
		m.AvgRSS, m.PeakRSS, m.AvgAnon, m.AvgHuge, m.Coverage = nan, nan, nan, nan, nan
		return m
	}
	n := float64(len(looks))
	for _, l := range looks {
		rss := l.RSS
		if l.proportionalUsed {
			rss = l.Shared
		}
		m.AvgRSS += rss / n
		m.PeakRSS = max(m.PeakRSS, rss)
		m.AvgAnon += l.Anon / n
		m.AvgHuge += l.Huge / n
	}
	m.Coverage = m.AvgHuge / m.AvgAnon
	return m
}

// look reads the process, or it and its descendants.
func look(pid int, tree bool) (Look, error) {
	var sum Look
	pids := []int{pid}
	if tree {
		pids = descendants(pid)
		sum.proportionalUsed = true
	}
	var last error
	for _, p := range pids {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", p))
		if err != nil {
			last = err // it has just ended
			continue
		}
		l := ParseRollup(b)
		sum.RSS += l.RSS
		sum.Anon += l.Anon
		sum.Huge += l.Huge
		sum.Shared += l.Shared
	}
	if sum.RSS == 0 && last != nil {
		return sum, last
	}
	return sum, nil
}

// ParseRollup reads the text of /proc/PID/smaps_rollup.
func ParseRollup(b []byte) Look {
	var l Look
	for line := range bytes.Lines(b) {
		name, rest, ok := strings.Cut(string(line), ":")
		f := strings.Fields(rest)
		if !ok || len(f) != 2 || f[1] != "kB" {
			continue
		}
		kb, err := strconv.ParseFloat(f[0], 64)
		if err != nil {
			continue
		}
		switch name {
		case "Rss":
			l.RSS = kb * 1024
		case "Pss":
			l.Shared = kb * 1024
		case "Anonymous":
			l.Anon = kb * 1024
		case "AnonHugePages":
			l.Huge = kb * 1024
		}
	}
	return l
}

// descendants lists the process and all below it.
func descendants(pid int) []int {
	pids := []int{pid}
	for i := 0; i < len(pids); i++ {
		tasks, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", pids[i]))
		for _, t := range tasks {
			b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", pids[i], t.Name()))
			for _, f := range strings.Fields(string(b)) {
				if c, err := strconv.Atoi(f); err == nil {
					pids = append(pids, c)
				}
			}
		}
	}
	return pids
}
