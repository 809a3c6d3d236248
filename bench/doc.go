// Command bench characterises malloc implementations and compares them, so that a claim about one can be checked
// by anybody:
//
//	go run ./bench setup            install the Debian packages it needs
//	go run ./bench --quick all      everything, small
//	go run ./bench micro            one suite
//
// docs/benchmarks.md tells what each suite does, why it is fair, and how to add one.
//
// # Structure
//
// A suite (bench/micro, bench/work, …) builds runner.Suite: cases with a function that runs one of them once under
// one subject. Package runner calls these interleaved, stat judges, report shows. The load itself is C or C++ in
// bench/load, compiled by cc, started by proc.
package main
