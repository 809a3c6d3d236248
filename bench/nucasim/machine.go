package nucasim

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

const (
	cpus      = 256
	domains   = 16
	perDomain = cpus / domains
	sockets   = 2
	services  = 32

	// Costs of a first access, in multiples of a hit in the domain's own last-level cache; see doc.go.
	ownCost, nearCost, farCost, coldCost = 0.3, 1.0, 2.07, 4.0
	cacheBytes                           = 32 << 20 // of a domain

	driftEvery  = 1e6 // ns
	driftChance = 0.05
	driftFar    = 0.1
)

// topologyText is the machine in the notation of VCMALLOC_TOPOLOGY.
func topologyText() string {
	var parts []string
	for d := range domains {
		parts = append(parts, fmt.Sprintf("%d-%d@%d", d*perDomain, (d+1)*perDomain-1, d/(domains/sockets)))
	}
	return strings.Join(parts, ";")
}

// scheduler says where threads run.
type scheduler struct {
	rng   *rand.Rand
	place string
	at    map[uint32]int32 // by service<<16 | thread
	next  int64            // when threads drift again
}

func (s *scheduler) cpu(service int, thread uint16) int32 {
	id := uint32(service)<<16 | uint32(thread)
	c, ok := s.at[id]
	if !ok {
		c = s.near(service)
		if s.place == spread {
			c = s.anywhere()
		}
		s.at[id] = c
	}
	return c
}

func (s *scheduler) near(service int) int32 {
	return int32(service%domains*perDomain + s.rng.IntN(perDomain))
}

func (s *scheduler) anywhere() int32 { return int32(s.rng.IntN(cpus)) }

// drift lets threads move once their time has come. order makes it the same in every run.
func (s *scheduler) drift(now int64, order []uint32) {
	if s.place != drifting || now < s.next {
		return
	}
	s.next = now + driftEvery
	for _, id := range order {
		if _, ok := s.at[id]; !ok || s.rng.Float64() >= driftChance {
			continue
		}
		if s.rng.Float64() < driftFar {
			s.at[id] = s.anywhere()
		} else {
			s.at[id] = s.near(int(id >> 16))
		}
	}
}
