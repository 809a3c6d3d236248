// Package work is the suite of workloads: whole programs that do something, with what users of an allocator care
// about: how much they get done, in how much memory.
//
// A workload is a function that builds a runner.Case; Suite lists them. Its Run does the same seeded work under
// every subject, checks the results, keeps to loopback or unix sockets and ends what it started.
package work
