// Package proc runs one program under one allocator and measures it from outside: what the system accounts to it
// (times, peak resident size, faults, context switches), the hardware's counters where there are any, and, on
// demand, its memory over time by reading /proc/PID/smaps_rollup at intervals.
//
// Reading smaps_rollup walks the page tables and holds the address space's lock meanwhile, which disturbs a
// program that maps and unmaps at that moment. So it is read only where a benchmark asks for it, at long
// intervals, and at the same ones for every subject.
package proc
