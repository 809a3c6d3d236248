#!/bin/sh
# packages.sh FILE: installs the Debian packages the file lists (one a line, # begins a comment) that are not
# there yet. Where that is not possible it says which are missing and goes on: tests skip what they lack.
want=$(sed 's/#.*//' "$1" | tr -s ' \n' ' ')
missing=
for p in $want; do
	dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing="$missing $p"
done
[ -z "$missing" ] && exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
	echo "not installed, their tests will fail:$missing" >&2
	exit 0
fi
echo "installing$missing"
# Debian starts servers when it installs them; the tests start their own.
policy=/usr/sbin/policy-rc.d
made=
if [ ! -e $policy ]; then
	printf '#!/bin/sh\nexit 101\n' >$policy && chmod 755 $policy && made=1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing >/dev/null
status=$?
[ -n "$made" ] && rm -f $policy
exit $status
