// Package pressure reads what the kernel tells of how short memory is for this process: the limits of its control
// groups, what these hold, and the share of time in which tasks were stalled on memory (PSI).
//
// It belongs to the runtime-free core: raw system calls, no allocation, buffers inside the Watch. It keeps no file
// open. What cannot be read counts as absent: no limit, no stall.
//
// Both versions of control groups are understood. Of version 2 the lower of memory.max and memory.high counts, of
// version 1 memory.limit_in_bytes; a group's ancestors are looked at too, and the tightest wins. Used memory is
// the group's anonymous memory (anon, total_rss): page cache goes by itself.
//
// All paths begin with a prefix, empty in a real process, so that tests bring a tree of their own.
package pressure
