#!/usr/bin/env bash
# Installs what the tests need, once: a C compiler for the race detector, and
# a virtual environment under .cache/venv with scripts/requirements.txt.
# Everything that is installed is said in one line; what is there already is
# left alone. A file .cache/NAME.stamp holds the hash of what was asked for.
#
#   scripts/setup.sh            what `make test` needs
#   scripts/setup.sh bench      also what `make bench` needs, and chromium
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p .cache

say() { printf 'setup: %s\n' "$*"; }
die() { printf 'setup: %s\n' "$@" >&2; exit 1; }

# stamped NAME HASH: has NAME been installed from just this?
stamped() { [ -f ".cache/$1.stamp" ] && [ "$(cat ".cache/$1.stamp")" = "$2" ]; }
stamp() { printf '%s\n' "$2" >".cache/$1.stamp"; }
hash_of() { sha256sum | cut -d' ' -f1; }

# as_root COMMAND...: run it with the rights that apt-get needs, or fail.
as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"
  elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then sudo -n "$@"
  else return 1
  fi
}

# no_services: while packages are installed, invoke-rc.d must start no
# service of theirs. A policy that the machine has already is kept.
policy=/usr/sbin/policy-rc.d
allow_services() { :; }
no_services() {
  [ -e "$policy" ] && return
  allow_services() { as_root rm -f "$policy"; allow_services() { :; }; }
  trap 'allow_services' EXIT
  as_root sh -c "printf '#!/bin/sh\nexit 101\n' >$policy && chmod 755 $policy"
}

# debian PACKAGE...: install those that dpkg doesn't know as installed.
# Returns 1 where that is impossible; what depends on it then says so.
debian() {
  local missing=() p
  command -v dpkg-query >/dev/null && command -v apt-get >/dev/null || return 1
  for p in "$@"; do
    dpkg-query -W -f='${db:Status-Status}\n' "$p" 2>/dev/null | grep -qx installed || missing+=("$p")
  done
  [ ${#missing[@]} -eq 0 ] && return
  as_root true || return 1
  say "Debian packages: ${missing[*]}"
  no_services
  local log=.cache/apt.log status=0
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}" >"$log" 2>&1 ||
    { as_root apt-get update >>"$log" 2>&1 &&
      as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}" >>"$log" 2>&1; } ||
    status=1
  allow_services
  [ $status = 0 ] || { say "apt-get failed; its last lines:"; tail -5 "$log"; }
  return $status
}

command -v go >/dev/null || die "go is not on the path" "install Go 1.26 or newer"
command -v python3 >/dev/null || die "python3 is not on the path" "install Python 3.10 or newer"
python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
  die "the tests' frameworks need Python 3.10 or newer; python3 is $(python3 -V 2>&1)" \
      "put a newer python3 first on the path (the worker itself runs on 3.8)"

# The race detector links with the C compiler.
command -v "${CC:-gcc}" >/dev/null || debian gcc libc6-dev ||
  die "no C compiler: go test -race needs gcc" "install gcc and libc6-dev, or run this as root"

# The virtual environment. It is made anew when the requirements or the
# interpreter change.
want="$({ cat scripts/requirements.txt; python3 -c 'import sys; print(sys.version, sys.base_prefix)'; } | hash_of)"
if ! stamped venv "$want" || ! [ -x .cache/venv/bin/python ]; then
  say "virtual environment .cache/venv: $(grep -v '^#' scripts/requirements.txt | tr '\n' ' ')"
  rm -rf .cache/venv .cache/venv.stamp
  log=.cache/venv.log
  install=(install --quiet --disable-pip-version-check -r scripts/requirements.txt)
  if python3 -c 'import ensurepip, venv' 2>/dev/null || debian python3-venv; then
    # Debian splits ensurepip off; where it can't be had, an installed pip
    # can fill a venv from outside.
    { python3 -m venv .cache/venv && .cache/venv/bin/python -m pip "${install[@]}"; } >"$log" 2>&1
  else
    { python3 -m venv --without-pip .cache/venv && python3 -m pip --python .cache/venv/bin/python "${install[@]}"; } >"$log" 2>&1
  fi || { tail -20 "$log" >&2; die "cannot make .cache/venv" "see $log; python3 needs venv and pip (Debian: python3-venv)"; }
  stamp venv "$want"
fi

# The servers that the tests run beside millrace. Where they can't be had
# (another system, no rights), their tests say so and are skipped; where they
# were installed once, a missing one is a failure.
peers=(nginx-light libnginx-mod-stream lighttpd apache2-bin apache2-utils libapache2-mod-fcgid haproxy media-types
  php-fpm php-cgi libfcgi-dev libfcgi-perl fcgiwrap nodejs uwsgi-core uwsgi-plugin-python3
  tomcat10 default-jre-headless curl openssl daemontools systemd)
if debian gcc libc6-dev "${peers[@]}"; then
  stamp peers "${peers[*]}"
else
  rm -f .cache/peers.stamp
  say "not every peer could be installed: the tests beside the missing ones are skipped"
fi

# An ACME authority for the tests of automatic certificates, and a DNS server
# that has every name lead to this machine. They are programs beside the tests,
# not among what the product is built from.
pebble=github.com/letsencrypt/pebble/v2
want="$pebble v2.10.3"
if ! stamped acme "$want" || ! [ -x .cache/bin/pebble ] || ! [ -x .cache/bin/pebble-challtestsrv ]; then
  say "$want, in .cache/bin"
  rm -f .cache/acme.stamp
  if GOBIN="$PWD/.cache/bin" go install "$pebble/cmd/pebble@v2.10.3" "$pebble/cmd/pebble-challtestsrv@v2.10.3" >.cache/acme.log 2>&1; then
    stamp acme "$want"
  else
    say "pebble could not be built (.cache/acme.log): the tests of automatic certificates are skipped"
  fi
fi

[ "${1:-}" = bench ] || exit 0

# The peers of the benchmark. One that can't be had is named as missing in
# the table, so a failure here is told and not fatal.
debian nginx-light uwsgi-core uwsgi-plugin-python3 wrk lighttpd lighttpd-mod-openssl caddy \
  apache2-bin libapache2-mod-wsgi-py3 ||
  say "not every peer of the benchmark could be installed: the table names what is missing"

# A browser, in which a test of internal/static looks at listings. It is not
# among what make test needs: 124 MB to fetch, and 40 s.
debian chromium ||
  say "chromium could not be installed: the test that looks at listings is skipped"

# Django for the interpreter that uWSGI's plugin carries. Django is pure
# Python: any pip can put it into a folder.
want="$({ grep '^Django==' scripts/requirements.txt; python3 -V; } | hash_of)"
if ! stamped bench-site "$want" || ! [ -d .cache/bench-site/django ]; then
  django="$(grep '^Django==' scripts/requirements.txt)"
  say "$django for the benchmark, in .cache/bench-site"
  rm -rf .cache/bench-site .cache/bench-site.stamp
  log=.cache/bench-site.log
  if .cache/venv/bin/python -m pip --version >/dev/null 2>&1; then pip=(.cache/venv/bin/python -m pip); else pip=(python3 -m pip); fi
  "${pip[@]}" install --quiet --disable-pip-version-check --target .cache/bench-site "$django" >"$log" 2>&1 ||
    { tail -20 "$log" >&2; die "cannot install $django into .cache/bench-site" "see $log"; }
  stamp bench-site "$want"
fi

# The servers that are Python packages, for the same interpreter: granian's
# wheel is built for one.
servers=("$(grep '^gunicorn==' scripts/requirements.txt)" "$(grep '^flup==' scripts/requirements.txt)" granian==2.8.9)
python=/usr/bin/python3
[ -x "$python" ] || python="$(command -v python3)"
want="$({ echo "${servers[*]}"; "$python" -V; } | hash_of)"
if ! stamped bench-peers "$want" || ! [ -d .cache/bench-peers ]; then
  say "${servers[*]} for the benchmark, in .cache/bench-peers"
  rm -rf .cache/bench-peers .cache/bench-peers.stamp
  log=.cache/bench-peers.log
  if .cache/venv/bin/python -m pip --version >/dev/null 2>&1; then pip=(.cache/venv/bin/python -m pip); else pip=(python3 -m pip); fi
  : >"$log"
  left=0
  for server in "${servers[@]}"; do
    "${pip[@]}" --python "$python" install --quiet --disable-pip-version-check --upgrade --target .cache/bench-peers "$server" >>"$log" 2>&1 ||
      { left=1; say "$server could not be installed ($log): the table names it as missing"; }
  done
  [ $left = 1 ] || stamp bench-peers "$want"
fi
