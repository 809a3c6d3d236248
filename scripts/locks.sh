#!/bin/sh
# locks.sh: the tests in which threads meet, with the order of locks checked (internal/sys/rank.go), and pins: Go's and the C door's.
set -eu
cd "$(dirname "$0")/.."
GO=${GO:-go}
echo "the order of locks"
$GO vet -tags vcmlocks ./internal/sys
$GO test -count=1 -p 2 -tags vcmlocks -run 'LockBuild|ForkedChild|Storm|Concurrent|Thread|Producers|ManyDomains|ManyNodes|Forks|Goroutines|UnderStress' \
	./internal/sys ./internal/span ./centralfreelist ./transfer ./percpu ./pageheap ./internal/heap
# All tests of the Go door: whatever it calls, it must be pinned.
VCMTEST_STRESS=${VCMTEST_STRESS:-2s} $GO test -count=1 -tags vcmlocks ./alloc
VCM_TAGS=vcmlocks GO="$GO" cgo/build.sh build/locks
VCMTEST_BRIEF=1 VCMTEST_LIB=$PWD/build/locks/libvcmalloc.so $GO test -count=1 -run TestStress ./internal/ctest
