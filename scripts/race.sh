#!/bin/sh
# race.sh: the Go door's tests under the race detector, where a C compiler is at hand (the detector needs cgo),
# without cgo, and in debug mode. VCMTEST_STRESS says how long the stress test runs in each, VCMTEST_RACE=0 leaves the first out.
set -eu
cd "$(dirname "$0")/.."
GO=${GO:-go}
if [ "${VCMTEST_RACE:-1}" = 1 ] && command -v gcc >/dev/null 2>&1; then
	echo "the Go door under the race detector"
	VCMTEST_STRESS=${VCMTEST_STRESS:-10s} $GO test -count=1 -race ./alloc
	$GO test -count=1 -race -run 'Pinned|AStop' ./percpu
fi
echo "the Go door without cgo"
VCMTEST_STRESS=${VCMTEST_STRESS:-1s} CGO_ENABLED=0 $GO test -count=1 ./alloc
echo "the Go door in debug mode"
VCMTEST_STRESS=${VCMTEST_STRESS:-1s} $GO test -count=1 -tags vcmdebug ./alloc
