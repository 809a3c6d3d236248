# What TestBash runs: arrays, loops of 10,000 turns, subshells, pipes, substitutions, here documents, jobs.
# Each part prints one line, which the test computes by other means.
set -euo pipefail
cd "$HOME"

declare -a list=()
declare -A map=()
sum=0
for ((i = 0; i < 10000; i++)); do
	list+=("$i:")
	((i % 10)) || list[i]="$(printf '%s' "$i"):"
	sum=$((sum + i))
	map[key$((i % 1000))]="v$((i % 1000))"
done
echo "loop $sum array ${#list[@]} assoc ${#map[@]} last ${map[key999]}"

long=$(printf 'x%.0s' {1..97})
hash=$(for ((i = 0; i < 10000; i++)); do echo "$i:${long:0:i % 97}"; done | sha256sum)
echo "sha ${hash%% *}"

outer=1
total=0
for i in {0..99}; do
	n=$( (outer=$i; echo $((outer))) )
	total=$((total + n))
done
echo "subshells $total outer $outer"

seq 10000 | while read -r n; do ((n % 2)) || echo "$n"; done | {
	count=0 add=0 last=0
	while read -r n; do count=$((count + 1)) add=$((add + n)) last=$n; done
	echo "pipes $count $last $add"
}

s=ab
for i in {1..12}; do s+=$s; done
s=${s//a/bb}
only=${s//[!b]/}
echo "string ${#s} ${only:0:1} ${#only}"

[[ "built on 2026-07-14 by make" =~ ([0-9]{4})-([0-9]{2})-([0-9]{2}) ]]
echo "regex ${BASH_REMATCH[0]}"

text=$(for i in {0..499}; do cat <<EOF
line $i of 500
EOF
done)
echo "here ${text##*$'\n'}"

diff <(printf '%s\n' "${list[@]}" | sort -R | sort -n) <(printf '%s\n' "${list[@]}") > /dev/null &&
	echo "process substitution same"

pids=()
for i in {1..20}; do
	(for ((j = 0; j < 200; j++)); do a[j]=$i$j; done; [[ ${#a[@]} -eq 200 ]]) &
	pids+=($!)
done
ok=0
for p in "${pids[@]}"; do wait "$p" && ok=$((ok + 1)); done
echo "jobs $ok $( ((ok == 20)) && echo ok)"
