#!/usr/bin/env bash
# Every check, then every test. Stops at the first that fails.
set -euo pipefail
cd "$(dirname "$0")/.."
# Without what the compiler is told of hot code: else all is compiled twice.
export GOFLAGS="${GOFLAGS:-} -pgo=off"
step() { printf '== %s\n' "$*"; }

scripts/setup.sh

step gofmt
unformatted="$(gofmt -l .)"
[ -z "$unformatted" ] || { printf 'not formatted (gofmt -w):\n%s\n' "$unformatted" >&2; exit 1; }

step go vet
go vet ./...

step staticcheck
go tool staticcheck ./...

# What runs elsewhere builds there: vet type-checks every file, tests included.
for os in darwin freebsd netbsd openbsd; do
  step "go vet for $os"
  GOOS=$os CGO_ENABLED=0 go vet ./...
done
# On Windows millrace is gateway and front: it starts no workers there.
step "go vet for windows"
GOOS=windows CGO_ENABLED=0 go vet $(go list ./... | grep -vE '/(e2e|e2e/peers|e2e/adapt|bench|internal/pool|internal/server|cmd/millrace)$')

step ruff
.cache/venv/bin/ruff check .
.cache/venv/bin/ruff format --check .

step mypy
.cache/venv/bin/mypy

# The packages that take longest begin first. Much of what a test does is to
# wait, so more of them run at a time than there are processors; no test may
# need the machine for itself (make measure has what is said of speed alone).
long=(./e2e ./internal/pool ./internal/server ./e2e/peers ./e2e/adapt ./cmd/millrace)

step "go test -race"
go test -race -count=1 -p 4 -parallel 4 -timeout 20m "${long[@]}" \
  $(go list ./... | grep -vE '/(e2e|internal/pool|internal/server|e2e/peers|e2e/adapt|cmd/millrace)$')
