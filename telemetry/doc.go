// Package telemetry reads what preloaded processes publish of their heaps: the statistics blocks (package
// block) that the library keeps in the folder VCMALLOC_STATS_DIR names, one file per process.
//
//	folder/vcmalloc.PID --Reader--> Snapshot --> WriteText, WriteJSON, Since, Check
//	folder --Dir.Processes--> []Process      --> Collector (Prometheus)
//
// A process is neither stopped nor asked: the reader copies its file and uses the copy if the block's sequence
// number shows that it is whole.
//
// # Files are not trusted
//
// A block may come from a process that is being killed, from a future version, or from somebody who means harm.
// So files are copied with pread and never mapped (a mapping of a file that is cut short meanwhile is a
// SIGBUS), symbolic links, pipes and devices are refused, every number of rows is checked before it is used,
// and sums may wrap but not panic. A fuzz test holds Decode to that.
//
// # Caveats
//
// Blocks are renewed about once a second while the process allocates: Snapshot.Age says how old the numbers
// are. While threads allocate the parts are read one after another, so the identity of Totals holds to the
// byte only for a process at rest. Process ids are those of the process's own PID namespace: read a
// container's folder from inside it.
package telemetry
