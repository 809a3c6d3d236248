// Package cdoor is what C calls: functions of plain numbers, each the target of one entry in cgo/entry.S, on
// the process's heap. They are listed in cgo/entries.txt, which names the C symbol of each and which the
// proof (package rtfree) starts its walk from.
//
// The C side keeps the state that its assembly reads in one block, Fast, which Boot fills. The functions
// here run on C threads, on C stacks, with the stand-in for g that entry.S sets up; the C side counts how
// deep its thread is in (a signal handler may come back in) and passes FlagNested.
package cdoor
