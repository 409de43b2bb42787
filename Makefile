# The front door; CMake does the work. `make help` lists the targets.
JOBS ?= $(shell nproc)
PREFIX ?= /usr/local
RUNS ?= 1000000
TEXT ?= build/demo/fortunes.txt
LAUNCHER := $(if $(shell command -v ccache),-DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
SOURCES = $(shell git ls-files --cached --others --exclude-standard '*.h' '*.cc')
BUILD = cmake --build build/$(1) --parallel $(JOBS)

.PHONY: all demo test bench fuzz format lint install clean asan tsan help setup
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

asan tsan: %: setup build/%/build.ninja  ## the quick tests under sanitizers (asan: addresses and undefined behaviour)
	$(call BUILD,$@)
	JOBS=$(JOBS) scripts/test.sh build/$@ -L quick

fuzz:                                    ## every fuzz target over RUNS inputs each, under clang and its sanitizers
	scripts/setup.sh build fuzz
	cmake -S . -B build/fuzz -G Ninja -DCMAKE_CXX_COMPILER=clang++-14 -DCMAKE_BUILD_TYPE=RelWithDebInfo -DSPUTNIK_FUZZ=ON -DSPUTNIK_TESTS=OFF $(LAUNCHER)
	$(call BUILD,fuzz)
	scripts/fuzz.sh build/fuzz $(RUNS)

format:                                  ## format all sources in place
	scripts/setup.sh lint
	clang-format -i $(SOURCES)

lint: setup build/release/build.ninja    ## check the format and run the linter
	scripts/setup.sh lint
	clang-format --dry-run --Werror $(SOURCES)
	run-clang-tidy -quiet -p build/release -j $(JOBS) '/(src|tests)/.*\.cc$$'

install: all                             ## install into DESTDIR/PREFIX (PREFIX is /usr/local)
	DESTDIR='$(DESTDIR)' cmake --install build/release --prefix '$(PREFIX)'

clean:                                   ## remove all that was built
	rm -rf build

help:                                    ## this list
	@awk -F '##' '/^[a-z][a-z ]*:.*##/ {sub(/:.*/, "", $$1); printf "%-10s %s\n", $$1, $$2}' Makefile

setup:
	@scripts/setup.sh

build/%/build.ninja:
	cmake --preset $* $(LAUNCHER)

# The files of the fortunes package without their indexes and second names, one after another.
build/demo/fortunes.txt: | setup
	mkdir -p $(@D)
	find /usr/share/games/fortunes -type f ! -name '*.dat' | LC_ALL=C sort | xargs cat > $@.tmp
	test -s $@.tmp && mv $@.tmp $@
