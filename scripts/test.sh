#!/bin/sh
# Runs the tests of a build folder and closes with one line: N passed, N failed. Fails if a test does, or if none ran.
#   scripts/test.sh build/release [more arguments for ctest]
set -u
folder=$1
shift
report=$PWD/$folder/tests.xml
rm -f "$report"
ctest --test-dir "$folder" --parallel "${JOBS:-$(nproc)}" --output-on-failure --no-tests=error --output-junit "$report" "$@"
status=$?
if [ ! -f "$report" ]; then
  echo "0 passed, 1 failed"
  exit 1
fi
# The counts are those of ctest's own report.
count() { sed -n "s/^[[:space:]]*$1=\"\([0-9]*\)\".*/\1/p" "$report" | head -1; }
tests=$(count tests) failed=$(count failures) skipped=$(($(count skipped) + $(count disabled)))
if [ "$skipped" -gt 0 ]; then echo "$skipped skipped"; fi
echo "$((tests - failed - skipped)) passed, $failed failed" | tee "$folder/tests.txt"
exit $status
