#!/bin/sh
# Builds libvcmalloc.so and libvcmalloc.a into the folder named by $1 (default: build, at the root). VCM_TAGS are
# tags of the Go build: vcmlocks checks the order of locks (internal/sys/rank.go).
#
#   go build -buildmode=c-archive -> go.o -> link (drops the runtime's start-up, names entries) -> core.o
#   core.o -> frames -> frames.S, the call-frame information of the Go code; both -> framed.o
#   gcc *.c *.S, framed.o -> libvcmalloc.so.debug -> strip -> libvcmalloc.so
#   ld -r, with all but the public symbols made local -> libvcmalloc.a
set -eu
cgo=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$cgo")
out=${1:-$root/build}
: "${CC:=gcc}" "${GO:=go}" "${OBJCOPY:=objcopy}" "${LD:=ld}" "${STRIP:=strip}" "${AR:=ar}"
mkdir -p "$out/obj"
out=$(cd "$out" && pwd)
module=github.com/vcmalloc/vcmalloc

# -spectre=ret makes the compiler do without jump tables, which are data that needs relocations.
cd "$root"
CGO_ENABLED=1 $GO build -buildmode=c-archive -tags="${VCM_TAGS:-}" -ldflags='-compressdwarf=false' -gcflags="$module/...=-spectre=ret" -o "$out/obj/shim.a" ./cgo/shim
(cd "$out/obj" && $AR x shim.a go.o)
mv "$out/obj/go.o" "$out/go.o"
$GO run ./internal/rtfree/link -in "$out/go.o" -out "$out/core.o" -entries cgo/entries.txt \
	-stub "$module/internal/sys.PanicStub"
$GO run ./internal/rtfree/frames -in "$out/core.o" -out "$out/obj/frames.S" -entries cgo/entries.txt \
	-stub "$module/internal/sys.PanicStub"

# Sources see no builtin malloc: the compiler must not turn our calloc into a call of calloc.
flags="-O2 -g -std=gnu11 -Wall -Wextra -fPIC -fno-builtin -fvisibility=hidden -fno-stack-protector -ftls-model=initial-exec -Iinclude"
objects=
for f in boot fence slow quick malloc stats; do
	$CC $flags -c "cgo/$f.c" -o "$out/obj/$f.o"
	objects="$objects $out/obj/$f.o"
done
for f in new cold; do
	$CC $flags -fexceptions -c "cgo/$f.c" -o "$out/obj/$f.o"
	objects="$objects $out/obj/$f.o"
done
for f in fast entry cxx; do
	$CC -g -c "cgo/$f.S" -o "$out/obj/$f.o"
	objects="$objects $out/obj/$f.o"
done
# ld makes an .eh_frame_hdr only if each frame description lies in the object of its function, and without
# --traditional-format it says so here already.
$CC -c "$out/obj/frames.S" -o "$out/obj/frames.o"
$LD -r --traditional-format -o "$out/obj/framed.o" "$out/core.o" "$out/obj/frames.o"
objects="$objects $out/obj/framed.o"

$CC -shared -fPIC -Wl,-soname,libvcmalloc.so -Wl,--version-script=cgo/exports.map -Wl,--gc-sections -Wl,-z,now \
	-Wl,-z,relro -Wl,-z,noexecstack -Wl,--hash-style=gnu -Wl,-z,undefs -o "$out/libvcmalloc.so.debug" $objects
$STRIP -o "$out/libvcmalloc.so" "$out/libvcmalloc.so.debug"

public=$(sed -n '/^global:/,/^local:/p' cgo/exports.map | sed 's/global:\|local://' | tr ';' '\n' | tr -d ' \t' | grep -v '^$')
for s in $public; do echo "$s"; done >"$out/obj/public"
$LD -r -o "$out/obj/all.o" $objects
# In an archive the operators are weak: a program that defines its own is not a duplicate definition.
weak=$(grep '^_Z' "$out/obj/public" | sed 's/^/--weaken-symbol=/')
$OBJCOPY --strip-debug --keep-global-symbols="$out/obj/public" $weak "$out/obj/all.o" "$out/obj/vcmalloc.o"
rm -f "$out/libvcmalloc.a"
$AR rcs "$out/libvcmalloc.a" "$out/obj/vcmalloc.o"
