#!/bin/sh
# need.sh TOOL:PACKAGE...: every tool must be there. A missing one is installed when this runs as root on a Debian
# system, and otherwise named with the package that brings it.
missing=
packages=
for pair in "$@"; do
	command -v "${pair%%:*}" >/dev/null 2>&1 && continue
	missing="$missing ${pair%%:*}"
	packages="$packages ${pair##*:}"
done
[ -z "$missing" ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
	echo "installing$packages (for$missing)"
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -qq && apt-get install -y -qq --no-install-recommends $packages >/dev/null && exit 0
fi
echo "missing:$missing; install the packages:$packages" >&2
exit 1
