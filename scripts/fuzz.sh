#!/usr/bin/env bash
# Runs each fuzz test of each package for the given time (default 60s).
set -euo pipefail
cd "$(dirname "$0")/.."
time="${1:-60s}"
count=0
while read -r package; do
  # -list prints the names and then a line of its own, "ok …".
  names="$(go test -list '^Fuzz' "$package" | grep '^Fuzz' || true)"
  for name in $names; do
    echo "== $package $name"
    go test -run '^$' -fuzz "^$name\$" -fuzztime "$time" -fuzzminimizetime 5s "$package"
    count=$((count + 1))
  done
done < <(go list ./...)
[ "$count" -gt 0 ] || { echo "no fuzz test was found" >&2; exit 1; }
echo "fuzz: $count tests, $time each"
