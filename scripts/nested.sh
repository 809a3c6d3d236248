#!/bin/sh
# nested.sh: vets and tests the modules inside this one, which `go test ./...` here does not see.
set -eu
cd "$(dirname "$0")/.."
for dir in $(find . -mindepth 2 -name go.mod -not -path '*/testdata/*' -not -path './build/*' -exec dirname {} \; | sort); do
	echo "module in $dir"
	(cd "$dir" && GOWORK=off "${GO:-go}" vet ./... && GOWORK=off "${GO:-go}" test -count=1 ./...)
done
