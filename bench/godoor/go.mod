module github.com/vcmalloc/vcmalloc/bench/godoor

go 1.26.0

toolchain go1.26.8

require (
	github.com/dgraph-io/ristretto/v2 v2.4.2
	github.com/vcmalloc/vcmalloc v0.0.0
	modernc.org/memory v1.12.1
)

require (
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	github.com/dustin/go-humanize v1.1.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
)

replace github.com/vcmalloc/vcmalloc => ../..
