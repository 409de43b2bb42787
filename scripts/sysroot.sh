#!/bin/sh
# Unpacks Debian packages of another architecture, and all that they depend on, into a folder: to build against, and for
# qemu to run with. Nothing is installed: apt keeps its lists beside the folder, so this needs no rights and cannot
# upset the machine's own packages.
#   scripts/sysroot.sh ARCHITECTURE FOLDER PACKAGE...
set -eu

architecture=$1 folder=$2
shift 2
[ "$(cat "$folder/packages" 2>/dev/null)" != "$*" ] || exit 0
mkdir -p "$(dirname "$folder")"
parts=$(cd "$(dirname "$folder")" && pwd)/$(basename "$folder").parts
rm -rf "$parts"
mkdir -p "$parts/apt/lists/partial" "$parts/cache/archives/partial" "$parts/root"
: >"$parts/apt/status" # no package is installed there
apt() {
  apt-get -q -y -o APT::Architecture="$architecture" -o APT::Architectures="$architecture" -o APT::Sandbox::User= \
    -o Dir::State="$parts/apt" -o Dir::State::status="$parts/apt/status" -o Dir::Cache="$parts/cache" "$@" >"$parts/log" 2>&1 ||
    { cat "$parts/log" >&2; echo "sysroot.sh: no $architecture packages could be had" >&2; exit 1; }
}

echo "Unpacking the $architecture versions of $*" >&2
apt update
apt install --download-only --no-install-recommends "$@"
for package in "$parts"/cache/archives/*.deb; do
  dpkg-deb --extract "$package" "$parts/root"
done
echo "$*" >"$parts/root/packages"
rm -rf "$folder"
mv "$parts/root" "$folder" # only now is it there, whole
rm -rf "$parts"
