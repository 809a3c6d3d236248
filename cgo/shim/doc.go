// Command shim is never run. `go build -buildmode=c-archive` makes an archive of it whose go.o holds the core;
// cgo/build.sh takes that object, drops the runtime's start-up and links the core with the C sources beside
// this folder. main refers to each function of internal/cdoor, so that the Go linker keeps it.
package main
