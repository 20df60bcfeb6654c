package main

// The stacks that people serve WSGI apps with, beside nginx with uWSGI: how
// each is configured. Each has as many worker processes as millrace, writes no
// access log, and is left to its own defaults in what else there is.

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// threads is how many gunicorn has in each worker: gthread needs a number, and
// is the one of its own workers that keeps connections.
const threads = 4

// wsgiPeers are the stacks of the WSGI scenarios.
func wsgiPeers(s *settings) []peer {
	all := []peer{
		{"millrace", startMillrace},
		{baseline, startNginxUWSGI},
		{"granian", startGranian},
		{"nginx + gunicorn", startNginxGunicorn},
		{"Apache mod_wsgi", startModWSGI},
		{"lighttpd + flup", startFlup},
		{"uWSGI http-socket", startUWSGI},
		{"gunicorn", startGthread},
		{"Caddy + gunicorn", startCaddyGunicorn},
	}
	if s.prototype != "" {
		all = append(all, peer{"prototype", startPrototype})
	}
	return all
}

// peersNamed are some of wsgiPeers, in their order.
func peersNamed(s *settings, names ...string) []peer {
	var some []peer
	for _, p := range wsgiPeers(s) {
		for _, name := range names {
			if p.name == name {
				some = append(some, p)
			}
		}
	}
	return some
}

// hasServer is an error if a Python package is not among the servers.
func (s *settings) hasServer(name string) error {
	if _, err := os.Stat(filepath.Join(s.servers, name)); err != nil {
		return &missingError{name + " is not in " + filepath.Base(s.servers)}
	}
	return nil
}

// pythonPath is the environment of a server that is a Python program.
func (s *settings) pythonPath() []string {
	return []string{"PYTHONPATH=" + strings.Join([]string{s.servers, s.site, s.apps()}, string(os.PathListSeparator)), "PYTHONDONTWRITEBYTECODE=1"}
}

func startGranian(ctx context.Context, s *settings, j job) (*stack, error) {
	if err := s.hasServer("granian"); err != nil {
		return nil, err
	}
	st, folder, address, err := newStack(s, "granian", j)
	if err != nil {
		return nil, err
	}
	host, port, _ := net.SplitHostPort(address)
	if err := st.run(ctx, &st.worker, folder, s.pythonPath(), s.python, "-m", "granian", "--interface", "wsgi",
		"--host", host, "--port", port, "--workers", fmt.Sprint(s.workers), "--respawn-failed-workers", "--log-level", "warning", j.app); err != nil {
		return nil, err
	}
	return st, st.ready(ctx)
}

func gunicornArgs(s *settings, bind string, j job) []string {
	return []string{"-m", "gunicorn", "--worker-class", "gthread", "--threads", fmt.Sprint(threads), "--workers", fmt.Sprint(s.workers), "--bind", bind, "--log-level", "warning", j.app}
}

func startGthread(ctx context.Context, s *settings, j job) (*stack, error) {
	if err := s.hasServer("gunicorn"); err != nil {
		return nil, err
	}
	st, folder, address, err := newStack(s, "gunicorn", j)
	if err != nil {
		return nil, err
	}
	if err := st.run(ctx, &st.worker, folder, s.pythonPath(), s.python, gunicornArgs(s, address, j)...); err != nil {
		return nil, err
	}
	return st, st.ready(ctx)
}

// behind starts a WSGI server on a socket and a front server before it.
func behind(ctx context.Context, s *settings, j job, name, front, file string, config func(folder, address, socket string) string, args func(path string) []string, server func(socket string) []string) (*stack, error) {
	program, err := programs(front)
	if err != nil {
		return nil, err
	}
	st, folder, address, err := newStack(s, name, j)
	if err != nil {
		return nil, err
	}
	socket, path := filepath.Join(folder, "app.sock"), filepath.Join(folder, file)
	if err := os.WriteFile(path, []byte(config(folder, address, socket)), 0o644); err != nil {
		return nil, err
	}
	if err := st.run(ctx, &st.worker, folder, s.pythonPath(), s.python, server(socket)...); err != nil {
		return nil, err
	}
	if err := st.run(ctx, &st.front, folder, nil, program[0], args(path)...); err != nil {
		return nil, err
	}
	return st, st.ready(ctx)
}

func startNginxGunicorn(ctx context.Context, s *settings, j job) (*stack, error) {
	if err := s.hasServer("gunicorn"); err != nil {
		return nil, err
	}
	return behind(ctx, s, j, "nginx + gunicorn", "nginx", "nginx.conf", func(folder, address, socket string) string {
		return nginxGateway(s, folder, fmt.Sprintf(`upstream app { server unix:%s fail_timeout=0; keepalive 64; }
  server {
    listen %s backlog=4096;
    location / {
      proxy_pass http://app;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
    }
  }`, socket, address))
	}, nginxArgs, func(socket string) []string { return gunicornArgs(s, "unix:"+socket, j) })
}

func startCaddyGunicorn(ctx context.Context, s *settings, j job) (*stack, error) {
	if err := s.hasServer("gunicorn"); err != nil {
		return nil, err
	}
	return behind(ctx, s, j, "Caddy + gunicorn", "caddy", "Caddyfile", func(folder, address, socket string) string {
		return caddyfile(folder, address, "reverse_proxy unix/"+socket)
	}, caddyArgs, func(socket string) []string { return gunicornArgs(s, "unix:"+socket, j) })
}

func startFlup(ctx context.Context, s *settings, j job) (*stack, error) {
	if err := s.hasServer("flup"); err != nil {
		return nil, err
	}
	module, callable, _ := strings.Cut(j.app, ":")
	return behind(ctx, s, j, "lighttpd + flup", "lighttpd", "lighttpd.conf", func(folder, address, socket string) string {
		host, port, _ := net.SplitHostPort(address)
		return fmt.Sprintf(`server.modules = ("mod_fastcgi")
server.document-root = %q
server.bind = %q
server.port = %s
server.max-worker = %d
server.max-keep-alive-requests = 65535
server.max-connections = 2048
server.listen-backlog = 4096
server.upload-dirs = (%[1]q)
fastcgi.server = ("/" => (("socket" => %[5]q, "check-local" => "disable", "fix-root-scriptname" => "enable")))
`, folder, host, port, runtime.NumCPU(), socket)
	}, lighttpdArgs, func(socket string) []string {
		return []string{"-c", fmt.Sprintf("from %s import %s as app\nfrom flup.server.fcgi_fork import WSGIServer\nWSGIServer(app, bindAddress=%q, minSpare=%[4]d, maxSpare=%[4]d, maxChildren=%[4]d).run()", module, callable, socket, s.workers)}
	})
}

// startUWSGI has uWSGI answer HTTP itself. Its http-socket keeps no
// connection, and says so only when it is told to.
func startUWSGI(ctx context.Context, s *settings, j job) (*stack, error) {
	program, err := programs("uwsgi")
	if err != nil {
		return nil, err
	}
	st, folder, address, err := newStack(s, "uWSGI http-socket", j)
	if err != nil {
		return nil, err
	}
	args := append([]string{"--http-socket", address, "--add-header", "Connection: close"}, uwsgiArgs(s, j)...)
	if err := st.run(ctx, &st.worker, folder, nil, program[0], args...); err != nil {
		return nil, err
	}
	return st, st.ready(ctx)
}

// apacheModules is where Debian puts them.
const apacheModules = "/usr/lib/apache2/modules"

// startModWSGI has Apache's own daemon processes run the app. Where all threads
// of a process are busy, or there are more than it thinks it needs, Apache closes
// kept connections, which the load counts as lost: so it has many.
func startModWSGI(ctx context.Context, s *settings, j job) (*stack, error) {
	program, err := programs("apache2")
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(apacheModules, "mod_wsgi.so")); err != nil {
		return nil, &missingError{"mod_wsgi is not installed"}
	}
	st, folder, address, err := newStack(s, "Apache mod_wsgi", j)
	if err != nil {
		return nil, err
	}
	module, callable, _ := strings.Cut(j.app, ":")
	user := ""
	if os.Getuid() == 0 {
		user = "User www-data\nGroup www-data\n"
	}
	path, script := filepath.Join(folder, "httpd.conf"), filepath.Join(folder, "app.wsgi")
	config := fmt.Sprintf(`ServerRoot %[1]s
ServerName 127.0.0.1
PidFile %[1]s/httpd.pid
DefaultRuntimeDir %[1]s
Listen %[2]s
ListenBacklog 4096
LoadModule mpm_event_module %[3]s/mod_mpm_event.so
LoadModule authz_core_module %[3]s/mod_authz_core.so
LoadModule wsgi_module %[3]s/mod_wsgi.so
%[4]sErrorLog /dev/stderr
LogLevel error
ThreadsPerChild 64
MaxRequestWorkers 1024
MaxSpareThreads 1024
KeepAlive On
MaxKeepAliveRequests 0
WSGISocketPrefix %[1]s/wsgi
WSGIDaemonProcess app processes=%[5]d python-path=%[6]s:%[7]s display-name=%%{GROUP}
WSGIProcessGroup app
WSGIApplicationGroup %%{GLOBAL}
WSGIScriptAlias / %[8]s
<Directory %[1]s>
  Require all granted
</Directory>
`, folder, address, apacheModules, user, s.workers, s.site, s.apps(), script)
	if err := os.WriteFile(script, fmt.Appendf(nil, "from %s import %s as application\n", module, callable), 0o644); err != nil {
		return nil, err
	}
	if err := os.WriteFile(path, []byte(config), 0o644); err != nil {
		return nil, err
	}
	st.isFront = func(pid int) bool { return !bytes.HasPrefix(commandLine(pid), []byte("(wsgi:")) }
	if err := st.run(ctx, &st.front, folder, nil, program[0], "-DFOREGROUND", "-f", path); err != nil {
		return nil, err
	}
	return st, st.ready(ctx)
}
