// Package topology says which CPUs share a last-level cache, and which NUMA node each belongs to. The
// transfer caches are sharded by it (paper section 5.4.2): an object freed on one CPU is best reused by a
// CPU that finds it in the same cache; handing it to another domain costs about twice the latency.
//
// Sources. Read opens these files below /sys/devices/system and believes none of them blindly:
//
//	cpu/possible, cpu/online                      which CPU numbers there can be, and which run now
//	node/has_cpu (node/online on old kernels)     NUMA nodes; one node alone saves opening its list
//	node/node*/cpulist                            their CPUs
//	cpu/cpu*/cache/index*/{level,type,shared_cpu_list}
//	cpu/cpu*/topology/thread_siblings_list        only for a cache of 2 to 8 CPUs: is that one core?
//
// The last-level cache of a CPU is the data or unified cache of the highest level that lists the CPU among
// those that share it. Override replaces what was read by VCMALLOC_TOPOLOGY.
//
// What is a domain:
//   - The online CPUs of one last-level cache, if more than one core shares it. A cache of a single core
//     adds nothing to the per-CPU caches above: a transfer cache of its own would only strand objects.
//   - The CPUs of a node that share no cache make one domain together: a VM that shows no caches or one
//     per virtual CPU, an Arm server that shows only private L2s, cores of a hybrid part outside its L3.
//   - A domain never spans nodes. With sub-NUMA clustering Intel reports one L3 for the socket, yet each
//     node's memory is cached in the slices near it: (cache, node) is the domain. Only an override may
//     span nodes, because it says what somebody wants.
//   - A CPU that was offline, about which sysfs tells nothing, counts to the domain and node of the next
//     CPU below it: caches are numbered in runs nearly everywhere. Read again to know.
//
// cpusets don't change the domains, they change which are used: DomainsInUse takes the affinity mask.
//
// Invariants, whatever the files hold: domain ids are dense from 0 and each has a CPU; Domain is below
// Domains for every argument, also those that are no CPU; the zero Topology is one domain on one node.
//
// Work is bounded: a CPU that an earlier CPU's list named is not looked at again, and the search for its
// last-level cache starts at the index where the CPU before found it: four or five files per cache. Nothing
// is allocated; the stack stays below 1200 bytes because tables and buffers are part of the struct.
//
// A Topology has no lock. Read and Override want it to themselves; the accessors may then run anywhere.
package topology
