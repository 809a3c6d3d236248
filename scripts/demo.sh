#!/bin/sh
# demo.sh LIBRARY: a real program from this machine, gcc's compiler proper on a generated C file, under the
# library with its statistics at exit, then compared with the same run on the C library's malloc.
set -eu
lib=$1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
i=0
while [ $i -lt 400 ]; do
	echo "struct s$i { int a[$((i % 17 + 1))]; struct s$i *next; };
static int f$i(struct s$i *p, int n) { int t = 0; for (; p; p = p->next) for (int i = 0; i < $((i % 17 + 1)); i++) t += p->a[i] * n + $i; return t; }
int g$i(struct s$i *p) { return f$i(p, $i) + f$i(p->next, 7) * 3; }"
	i=$((i + 1))
done >"$dir/demo.c"
cc1=$(gcc -print-prog-name=cc1)

echo "== gcc's cc1 compiles 400 functions under vcmalloc; the statistics at its exit:"
LD_PRELOAD=$lib VCMALLOC_STATS=exit "$cc1" -quiet -O1 "$dir/demo.c" -o "$dir/vcmalloc.s" 2>&1 | sed -n '1,20p'
"$cc1" -quiet -O1 "$dir/demo.c" -o "$dir/glibc.s"
cmp "$dir/glibc.s" "$dir/vcmalloc.s" && echo "== the output is the same as with glibc's malloc, byte for byte"

echo "== threads and memory of a small preloaded shell (no Go runtime runs in it: one thread):"
LD_PRELOAD=$lib sh -c 'grep -E "Threads|VmRSS|VmSize" /proc/$$/status'

echo "== the same run on glibc's malloc and on vcmalloc, in turn:"
go run ./internal/tools/compare -lib "$lib" -n 5 -- "$cc1" -quiet -O1 "$dir/demo.c" -o "$dir/out.s"
