#!/bin/sh
# debug.sh: the tests in which threads meet, with the order of locks checked (internal/sys/rank.go): Go's and the C door's.
set -eu
cd "$(dirname "$0")/.."
GO=${GO:-go}
echo "the order of locks"
$GO vet -tags vcmdebug ./internal/sys
$GO test -count=1 -p 2 -tags vcmdebug -run 'Debug|ForkedChild|Storm|Concurrent|Thread|Producers|ManyDomains|ManyNodes|Forks' \
	./internal/sys ./internal/span ./centralfreelist ./transfer ./percpu ./pageheap ./internal/heap
VCM_TAGS=vcmdebug GO="$GO" cgo/build.sh build/debug
VCMTEST_BRIEF=1 VCMTEST_LIB=$PWD/build/debug/libvcmalloc.so $GO test -count=1 -run TestStress ./internal/ctest
