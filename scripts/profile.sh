#!/usr/bin/env bash
# Makes cmd/millrace/default.pgo, by which the compiler knows what is hot: the
# program is loaded in each of its parts for some seconds, and asked for profiles.
# Needs what `scripts/setup.sh bench` installs.
set -euo pipefail
cd "$(dirname "$0")/.."
readonly seconds=8 connections=64

work="$(mktemp -d)"
chmod 755 "$work"
started=()
end() {
  for pid in "${started[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait
  [ "$1" = 0 ] || cat "$work/serve.log" >&2 || true
  rm -rf "$work"
}
trap 'end $?' EXIT

CGO_ENABLED=0 go build -trimpath -pgo=off -o "$work/millrace" ./cmd/millrace

# Back ends: a page of nginx's, a page of php-fpm's, an app.
mkdir "$work/www"
printf '<?php\nheader("Content-Type: text/plain");\necho "Hello, World!\\n";\n' >"$work/www/hello.php"
head -c 1000 /dev/zero | tr '\0' x >"$work/www/small.txt"
head -c 120000 /dev/zero | tr '\0' x >"$work/www/large.txt"
cat >"$work/hello.py" <<'PY'
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "14")])
    return [b"Hello, World!\n"]
PY
cat >"$work/nginx.conf" <<NGINX
daemon off; worker_processes 2; pid $work/nginx.pid; error_log stderr crit;
events { worker_connections 4096; }
http { access_log off; keepalive_requests 1000000000;
  client_body_temp_path $work/t1; proxy_temp_path $work/t2; fastcgi_temp_path $work/t3; uwsgi_temp_path $work/t4; scgi_temp_path $work/t5;
  server { listen unix:$work/nginx.sock; location / { default_type text/plain; return 200 "Hello, World!\n"; } } }
NGINX
fpm="$(command -v php-fpm || compgen -c php-fpm | sort -V | tail -1)"
root=()
owner=""
if [ "$(id -u)" = 0 ]; then
  root=(-R)
  owner=$'user = root\ngroup = root\nlisten.mode = 0666'
  chmod 711 "$work"
fi
printf '[global]\ndaemonize = no\nerror_log = /dev/stderr\n[www]\nlisten = %s/fpm.sock\nlisten.backlog = 4096\npm = static\npm.max_children = 2\n%s\n' "$work" "$owner" >"$work/fpm.conf"
nginx -p "$work" -e stderr -c "$work/nginx.conf" & started+=($!)
"$fpm" -n -F -y "$work/fpm.conf" "${root[@]}" 2>/dev/null & started+=($!)

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
  -addext subjectAltName=DNS:localhost -keyout "$work/key.pem" -out "$work/cert.pem" 2>/dev/null
port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
plain="127.0.0.1:$(port)"
secure="127.0.0.1:$(port)"
cat >"$work/millrace.toml" <<TOML
[server]
control = "control.sock"
[[site]]
listen = ["$plain"]
[[site.route]]
path = "/http/*"
upstream = "nginx"
[[site.route]]
path = "/hello.php"
upstream = "php"
script = { root = "www" }
[[site.route]]
path = "/files/*"
files = { root = "www", strip = "/files" }
[[site.route]]
app = "hello"
[[site]]
listen = ["$secure"]
tls = { certificate = "cert.pem", key = "key.pem" }
[[site.route]]
path = "/files/*"
files = { root = "www", strip = "/files" }
[[site.route]]
app = "hello"
[upstream.nginx]
protocol = "http"
servers = ["unix:nginx.sock"]
[upstream.php]
protocol = "fastcgi"
servers = ["unix:fpm.sock"]
max_conns = 2
[app.hello]
wsgi = "hello:application"
workers = 2
TOML
(cd "$work" && exec ./millrace serve millrace.toml >serve.log 2>&1) & started+=($!)

n=0
for url in "http://$plain/" "http://$plain/hello.php" "http://$plain/http/" "http://$plain/files/small.txt" \
  "http://$plain/files/large.txt" "https://$secure/" "https://$secure/files/small.txt"; do
  curl -sfk --retry 20 --retry-connrefused --retry-delay 1 -o /dev/null "$url"
  wrk -t2 -c"$connections" -d"$((seconds + 2))s" "$url" >"$work/wrk.log" & load=$!
  n=$((n + 1))
  (cd "$work" && ./millrace profile millrace.toml --for "${seconds}s" --output "$n.pprof" >/dev/null)
  wait "$load"
  echo "$url $(grep Requests/sec "$work/wrk.log")"
  ! grep -E 'Non-2xx|Socket errors' "$work/wrk.log"
done
go tool pprof -proto "$work"/*.pprof >"$work/default.pgo"
mv "$work/default.pgo" cmd/millrace/default.pgo
ls -l cmd/millrace/default.pgo
