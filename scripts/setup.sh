#!/bin/sh
# Sees to it that the Debian packages are there which a purpose needs; silent when they are. The only list of packages.
#   scripts/setup.sh [build] [demo] [bench] [lint] [fuzz] [arm64]        (default: build demo)
#   scripts/setup.sh sysroot ARCHITECTURE FOLDER        unpacks the libraries for another architecture (scripts/sysroot.sh)
# Installs what is missing if it may (root, or sudo without a password); else prints the one line to run and fails.
# SPUTNIK_SKIP_SETUP=1 skips all this, for systems that have the libraries in another way.
set -eu

libraries="libhwy-dev libpcre2-dev libicu-dev libfmt-dev libspdlog-dev nlohmann-json3-dev libtomlplusplus-dev libcli11-dev
  libssl-dev libgtest-dev"
build="g++ cmake ninja-build pkg-config $libraries"
demo="fortunes fortunes-min" # 2.5 MB of short texts, under the three-clause BSD licence; each has a part of the files
bench="libbenchmark-dev libdnnl-dev"
fuzz="clang-14 libclang-rt-14-dev llvm-14"
lint="clang clang-format clang-tidy"
arm64="g++-12-aarch64-linux-gnu qemu-user"

[ "${SPUTNIK_SKIP_SETUP:-}" != 1 ] || exit 0
if [ "${1:-}" = sysroot ]; then
  exec "$(dirname "$0")/sysroot.sh" "$2" "$3" $libraries
fi
[ $# -gt 0 ] || set -- build demo
wanted=""
for purpose in "$@"; do
  case $purpose in
    build) wanted="$wanted $build" ;;
    demo) wanted="$wanted $demo" ;;
    bench) wanted="$wanted $bench" ;;
    lint) wanted="$wanted $lint" ;;
    fuzz) wanted="$wanted $fuzz" ;;
    arm64) wanted="$wanted $arm64" ;;
    *) echo "setup.sh: unknown purpose $purpose; there are build, demo, bench, lint, fuzz, arm64" >&2; exit 2 ;;
  esac
done

if ! command -v dpkg-query >/dev/null; then
  echo "setup.sh: this is no Debian system. Install what these Debian packages hold, then set SPUTNIK_SKIP_SETUP=1:" >&2
  echo $wanted >&2
  exit 1
fi

# A package that dpkg has never heard of makes dpkg-query fail and is not printed: missing, too.
installed=" $(dpkg-query -W -f '${db:Status-Status}:${Package} ' $wanted 2>/dev/null || true)"
missing=""
for package in $wanted; do
  case $installed in
    *" installed:$package "*) ;;
    *) missing="$missing $package" ;;
  esac
done
[ -n "$missing" ] || exit 0

install="apt-get install -y --no-install-recommends$missing"
if [ "$(id -u)" = 0 ]; then
  as_root="env"
elif sudo -n true 2>/dev/null; then
  as_root="sudo -n env"
else
  echo "setup.sh: some packages are missing. Please run:" >&2
  echo "  sudo $install" >&2
  exit 1
fi
echo "Installing$missing" >&2
# The package lists may be absent (a fresh container) or too old; they are fetched only if the first attempt fails.
$as_root DEBIAN_FRONTEND=noninteractive $install >/dev/null 2>&1 ||
  { $as_root apt-get update -qq && $as_root DEBIAN_FRONTEND=noninteractive $install >/dev/null; } ||
  { echo "setup.sh: the installation failed. Please run:  sudo apt-get update && sudo $install" >&2; exit 1; }
