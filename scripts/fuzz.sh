#!/bin/sh
# Runs every fuzz target of a build folder, each for so many inputs, from the inputs that are kept for it. Stops at the
# first finding: put its input into tests/fuzz/corpus/TARGET, where the tests run it from then on.
#   scripts/fuzz.sh build/fuzz 1000000
set -eu
folder=$1 runs=$2
for program in "$folder"/*_fuzz; do
  name=$(basename "$program" _fuzz)
  corpus=$folder/corpus/$name
  mkdir -p "$corpus"
  echo "$name: $runs inputs"
  "$program" -runs="$runs" -max_len=4096 -rss_limit_mb=1024 -timeout=10 -print_final_stats=1 -verbosity=0 \
    -artifact_prefix="$folder/$name-" "$corpus" "tests/fuzz/corpus/$name" 2>&1 | grep -v -e '^INFO' -e '# Uses' -e '^###' || true
  # grep hides the program's own status; what it found lies beside it.
  if ls "$folder/$name-"crash-* "$folder/$name-"oom-* "$folder/$name-"timeout-* "$folder/$name-"leak-* 2>/dev/null; then
    exit 1
  fi
done
