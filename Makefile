# vcmalloc. `make` builds the library, `make demo` shows it, `make test` checks everything.
GO ?= go
PREFIX ?= /usr/local
BENCH ?= --quick all
DESTDIR ?=
BUILD := $(CURDIR)/build
VERSION := $(shell sed -n 's/^\#define VCMALLOC_VERSION "\(.*\)"/\1/p' include/vcmalloc.h)
SOURCES := $(shell find . -name '*.go' -o -name '*.c' -o -name '*.S' -o -name '*.h' -o -name '*.map' -o -name 'entries.txt' | grep -v testdata)

.PHONY: all lib demo test bench install clean tools-build tools-test vet

all: lib $(BUILD)/vcmalloc

lib: $(BUILD)/libvcmalloc.so

$(BUILD)/vcmalloc: $(SOURCES) go.mod | tools-build
	CGO_ENABLED=0 $(GO) build -o $@ ./cmd/vcmalloc

$(BUILD)/libvcmalloc.so: $(SOURCES) cgo/build.sh go.mod | tools-build
	GO="$(GO)" cgo/build.sh $(BUILD)

# What is needed is named with the package that brings it, and installed where this runs as root on Debian.
tools-build:
	@scripts/need.sh go:golang gcc:gcc ld:binutils objcopy:binutils strip:binutils

tools-test: tools-build
	@scripts/need.sh g++:g++ gdb:gdb valgrind:valgrind python3:python3
	@scripts/packages.sh internal/programs/packages.txt

demo: lib
	@scripts/demo.sh $(BUILD)/libvcmalloc.so

vet:
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo "run gofmt -w on these"; exit 1; }
	$(GO) vet ./...

test: lib tools-test vet
	VCMTEST_REQUIRE_BUILD=1 $(GO) test -json -count=1 -p 1 -timeout 30m ./... | \
		$(GO) run ./internal/tools/testsum -show '^TestLibraryIsRuntimeFree$$'
	@GO="$(GO)" scripts/locks.sh
	@GO="$(GO)" scripts/race.sh
	@GO="$(GO)" scripts/nested.sh

bench: lib
	$(GO) run ./bench setup
	$(GO) run ./bench $(BENCH)

install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib/pkgconfig $(DESTDIR)$(PREFIX)/include
	install -m 755 $(BUILD)/vcmalloc $(DESTDIR)$(PREFIX)/bin/
	install -m 755 $(BUILD)/libvcmalloc.so $(DESTDIR)$(PREFIX)/lib/
	install -m 644 $(BUILD)/libvcmalloc.a $(DESTDIR)$(PREFIX)/lib/
	install -m 644 include/vcmalloc.h $(DESTDIR)$(PREFIX)/include/
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@VERSION@|$(VERSION)|' cgo/vcmalloc.pc.in >$(DESTDIR)$(PREFIX)/lib/pkgconfig/vcmalloc.pc

clean:
	rm -rf $(BUILD)
