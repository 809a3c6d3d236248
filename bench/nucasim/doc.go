// Package nucasim runs the heap itself, all its tiers, on a machine that is not there: 2 sockets, 16 last-level cache
// domains, 256 CPUs. One thread plays the events of a trace in their order and says before each on which CPU it
// happens; the per-CPU caches, transfer caches with their shards and central free lists are the library's, guarded by
// their locks. For each object it is known who freed it last, so what an allocation's first access finds in
// whose cache is counted exactly, and what the heap's own statistics tell is held against it.
//
// # What is assumed
//
// Costs of the first access to an allocated object, in multiples of a hit in the domain's last-level cache: 0.3 if
// the same CPU freed it, 1 if another CPU of the domain did, 2.07 if one of another domain did (the paper's Fig. 5.11),
// 4 if nobody has it in a cache: it is new, or 32 MiB were allocated in the domain that freed it since. These are
// costs of one access, not of a program: how much of a program's time such accesses are, the simulation does not know.
//
// Load: 32 services, each a trace of package fleet with 8 threads alive at a time, merged by simulated time; or a service
// of 4 threads that only allocate and 4 that only free, in bursts of thousands; or each a copy of one recorded trace. Placement of threads, a case each: packed, all threads of a service in one domain (two
// services a domain); drifting, the same, but every millisecond a thread moves with a probability of 5 %, one time in
// ten to any CPU of the machine; spread, each thread on a CPU of its own choosing.
//
// Counting begins when half of the allocations are done: until then per-CPU caches fill.
//
// vCPUs are the CPUs: a dense vCPU number that follows threads between domains is not simulated. Background work has
// ticks of 10 ms, for a run has tenths of a second, and so plunders and visits more often than a second's traffic would.
package nucasim
