# The front door; CMake does the work. `make help` lists the targets.
JOBS ?= $(shell nproc)
PREFIX ?= /usr/local
RUNS ?= 1000000
TEXT ?= build/demo/fortunes.txt
LAUNCHER := $(if $(shell command -v ccache),-DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
SOURCES = $(shell git ls-files --cached --others --exclude-standard '*.h' '*.cc')
BUILD = cmake --build build/$(1) --parallel $(JOBS)

.PHONY: all demo test bench fuzz format lint install clean asan tsan arm64 help setup
.DEFAULT_GOAL := all

all: setup build/release/build.ninja     ## build the program: build/release/sputnik
	$(call BUILD,release) --target sputnik

demo: all $(TEXT)                        ## the whole main job on real text; TEXT=path takes your own file; goes on if it was stopped
	build/release/sputnik run recipes/demo.toml --set data.text='$(TEXT)' --resume

test: setup build/release/build.ninja    ## build and run every test; closes with: N passed, N failed
	$(call BUILD,release)
	JOBS=$(JOBS) scripts/test.sh build/release

bench: setup                             ## build and run the benchmarks
	scripts/setup.sh bench
	cmake --preset release -DSPUTNIK_BENCH=ON $(LAUNCHER)
	$(call BUILD,release)
	for program in build/release/*_bench; do $$program || exit 1; done

asan tsan: %: setup build/%/build.ninja  ## the quick tests under sanitizers; asan: addresses and undefined behaviour; tsan: what runs in threads
	$(call BUILD,$@) --target tests
	JOBS=$(JOBS) scripts/test.sh build/$@ -L quick

fuzz:                                    ## every fuzz target over RUNS inputs each, under clang and its sanitizers
	scripts/setup.sh build fuzz
	cmake -S . -B build/fuzz -G Ninja -DCMAKE_CXX_COMPILER=clang++-14 -DCMAKE_BUILD_TYPE=RelWithDebInfo -DSPUTNIK_FUZZ=ON -DSPUTNIK_TESTS=OFF $(LAUNCHER)
	$(call BUILD,fuzz) --target fuzz_targets
	scripts/fuzz.sh build/fuzz $(RUNS)

# What the self-test hashes are weights after a training run, and the kernels' tests hold NEON to the reference.
arm64: build/arm64/build.ninja           ## the self-test and the tests of kernels on 64-bit ARM (NEON), under qemu
	$(call BUILD,arm64) --target tests sputnik
	qemu-aarch64 -L build/arm64/sysroot build/arm64/sputnik doctor --self-test
	JOBS=$(JOBS) scripts/test.sh build/arm64 -L quick -E '^Structure|^BrokenHouse'

format:                                  ## format all sources in place
	scripts/setup.sh lint
	clang-format -i $(SOURCES)

# A build by clang, so that a second one only looks at what has changed.
lint: setup build/lint/build.ninja       ## check the format, run the linter, and build with clang; no warning passes
	clang-format --dry-run --Werror $(SOURCES)
	$(call BUILD,lint) -- -k 0

install: all                             ## install into DESTDIR/PREFIX (PREFIX is /usr/local)
	DESTDIR='$(DESTDIR)' cmake --install build/release --prefix '$(PREFIX)'

clean:                                   ## remove all that was built
	rm -rf build

help:                                    ## this list
	@awk -F '##' '/^[a-z][a-z0-9 ]*:.*##/ {sub(/:.*/, "", $$1); printf "%-10s %s\n", $$1, $$2}' Makefile

setup:
	@scripts/setup.sh

build/arm64/build.ninja: scripts/setup.sh | setup
	scripts/setup.sh arm64
	scripts/setup.sh sysroot arm64 build/arm64/sysroot
	cmake --preset arm64 $(LAUNCHER)

# A changed list of checks is run over everything.
build/lint/build.ninja: .clang-tidy tests/.clang-tidy | setup
	scripts/setup.sh lint
	rm -rf build/lint
	cmake --preset lint $(LAUNCHER)

build/%/build.ninja:
	cmake --preset $* $(LAUNCHER)

# The files of the fortunes package without their indexes and second names, one after another.
build/demo/fortunes.txt: | setup
	mkdir -p $(@D)
	find /usr/share/games/fortunes -type f ! -name '*.dat' | LC_ALL=C sort | xargs cat > $@.tmp
	test -s $@.tmp && mv $@.tmp $@
