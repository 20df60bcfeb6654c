package main

// The fronts of the gateway's rows and what is behind them: how each is
// configured. None writes an access log; what else is their own default is
// left so.

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"time"
)

// phpChildren is how many processes php-fpm has.
const phpChildren = 2

// backEnd is what all fronts of a row send their requests to.
type backEnd struct {
	*stack
	address string // "host:port", or the path of a socket
	root    string // of the scripts
}

// gatewayFront is a front server that may be started for a back end.
type gatewayFront struct {
	name    string
	program string // "": millrace
	file    string // of the configuration
	config  func(s *settings, folder, address string, back *backEnd) string
	args    func(path string) []string
}

func (f gatewayFront) start(ctx context.Context, s *settings, back *backEnd, path string) (*stack, error) {
	program := f.program
	if program == "" {
		program = s.millrace
	}
	row := staticRow{path: path, size: int64(len(helloBody))}
	return startFiles(ctx, s, row, f.name, program, f.file, func(folder, address string) string {
		return f.config(s, folder, address, back)
	}, f.args)
}

func serveArgs(path string) []string { return []string{"serve", path} }
func nginxArgs(path string) []string {
	return []string{"-p", filepath.Dir(path), "-e", "stderr", "-c", path}
}
func lighttpdArgs(path string) []string { return []string{"-D", "-f", path} }
func caddyArgs(path string) []string {
	return []string{"run", "--config", path, "--adapter", "caddyfile"}
}

var fastcgiFronts = []gatewayFront{
	// Told how many children there are, it keeps a connection to each.
	{"millrace", "", "millrace.toml", func(_ *settings, _, address string, back *backEnd) string {
		return millraceFastCGI(address, back) + fmt.Sprintf("max_conns = %d\n", phpChildren)
	}, serveArgs},
	{"millrace, no max_conns", "", "millrace.toml", func(_ *settings, _, address string, back *backEnd) string {
		return millraceFastCGI(address, back)
	}, serveArgs},
	{"nginx", "nginx", "nginx.conf", func(s *settings, folder, address string, back *backEnd) string {
		return nginxFastCGI(s, folder, address, back, "", "")
	}, nginxArgs},
	// One idle connection for each of nginx's processes: a child of php-fpm
	// serves nobody else while one of its own is kept, and there are two.
	{"nginx, keepalive", "nginx", "nginx.conf", func(s *settings, folder, address string, back *backEnd) string {
		return nginxFastCGI(s, folder, address, back, "keepalive 1;", "fastcgi_keep_conn on;")
	}, nginxArgs},
	{"lighttpd", "lighttpd", "lighttpd.conf", func(_ *settings, _, address string, back *backEnd) string {
		host, port, _ := net.SplitHostPort(address)
		return fmt.Sprintf(`server.modules = ("mod_fastcgi")
server.document-root = %q
server.bind = %q
server.port = %s
server.max-worker = %d
server.max-keep-alive-requests = 65535
server.max-connections = 2048
server.listen-backlog = 4096
fastcgi.server = (".php" => (("socket" => %q)))
`, back.root, host, port, runtime.NumCPU(), back.address)
	}, lighttpdArgs},
	{"Caddy", "caddy", "Caddyfile", func(_ *settings, folder, address string, back *backEnd) string {
		return caddyfile(folder, address, fmt.Sprintf("root * %s\n\tphp_fastcgi unix/%s", back.root, back.address))
	}, caddyArgs},
}

var httpFronts = []gatewayFront{
	{"millrace", "", "millrace.toml", func(_ *settings, _, address string, back *backEnd) string {
		return millraceGateway(address, "upstream = \"back\"\n", "http", back.address)
	}, serveArgs},
	{"nginx", "nginx", "nginx.conf", func(s *settings, folder, address string, back *backEnd) string {
		return nginxGateway(s, folder, fmt.Sprintf(`upstream back { server %s; keepalive 64; }
  server {
    listen %s backlog=4096;
    location / {
      proxy_pass http://back;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
    }
  }`, back.address, address))
	}, nginxArgs},
	{"HAProxy", "haproxy", "haproxy.cfg", func(_ *settings, _, address string, back *backEnd) string {
		return fmt.Sprintf(`global
  nbthread %d
  maxconn 4096
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  option forwardfor
frontend front
  bind %s backlog 4096
  default_backend back
backend back
  server one %s
`, runtime.NumCPU(), address, back.address)
	}, func(path string) []string { return []string{"-db", "-f", path} }},
	{"Caddy", "caddy", "Caddyfile", func(_ *settings, folder, address string, back *backEnd) string {
		return caddyfile(folder, address, "reverse_proxy "+back.address)
	}, caddyArgs},
}

func millraceGateway(address, route, protocol, back string) string {
	return fmt.Sprintf("[server]\ncontrol = \"control.sock\"\n[[site]]\nlisten = [%q]\n[[site.route]]\n%s[upstream.back]\nprotocol = %q\nservers = [%q]\n", address, route, protocol, back)
}

func millraceFastCGI(address string, back *backEnd) string {
	return millraceGateway(address, fmt.Sprintf("upstream = \"back\"\nscript = { root = %q }\n", back.root), "fastcgi", "unix:"+back.address)
}

func nginxFastCGI(s *settings, folder, address string, back *backEnd, upstream, location string) string {
	return nginxGateway(s, folder, fmt.Sprintf(`upstream back { server unix:%s; %s }
  server {
    listen %s backlog=4096;
    root %s;
    location ~ \.php$ {
      try_files $uri =404;
      fastcgi_pass back;
      %s
      fastcgi_param QUERY_STRING $query_string;
      fastcgi_param REQUEST_METHOD $request_method;
      fastcgi_param CONTENT_TYPE $content_type;
      fastcgi_param CONTENT_LENGTH $content_length;
      fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
      fastcgi_param SCRIPT_NAME $fastcgi_script_name;
      fastcgi_param REQUEST_URI $request_uri;
      fastcgi_param DOCUMENT_URI $document_uri;
      fastcgi_param DOCUMENT_ROOT $document_root;
      fastcgi_param SERVER_PROTOCOL $server_protocol;
      fastcgi_param REQUEST_SCHEME $scheme;
      fastcgi_param GATEWAY_INTERFACE CGI/1.1;
      fastcgi_param SERVER_SOFTWARE nginx;
      fastcgi_param REMOTE_ADDR $remote_addr;
      fastcgi_param REMOTE_PORT $remote_port;
      fastcgi_param SERVER_ADDR $server_addr;
      fastcgi_param SERVER_PORT $server_port;
      fastcgi_param SERVER_NAME $server_name;
      fastcgi_param REDIRECT_STATUS 200;
    }
  }`, back.address, upstream, address, back.root, location))
}

// nginxGateway is a configuration of nginx around what a server does.
func nginxGateway(s *settings, folder, body string) string {
	user := ""
	if os.Getuid() == 0 {
		user = "user root;" // the folder is root's
	}
	return fmt.Sprintf(`%s
daemon off;
worker_processes %d;
pid %[4]s/nginx.pid;
error_log stderr crit;
events { worker_connections %[3]d; }
http {
  access_log off;
  keepalive_requests 1000000000;
  client_body_temp_path %[4]s/body;
  proxy_temp_path %[4]s/proxy;
  fastcgi_temp_path %[4]s/fastcgi;
  uwsgi_temp_path %[4]s/uwsgi;
  scgi_temp_path %[4]s/scgi;
  %[5]s
}
`, user, runtime.NumCPU(), max(4096, s.room), folder, body)
}

func caddyfile(folder, address, body string) string {
	return fmt.Sprintf("{\n\tadmin off\n\tauto_https off\n\tstorage file_system %s\n}\nhttp://%s {\n\t%s\n}\n", folder, address, body)
}

// startPHP starts php-fpm and two scripts for it: one says hello,
// one answers with much.
func startPHP(ctx context.Context, s *settings) (*backEnd, error) {
	program, err := lookPath(phpFPM())
	if err != nil {
		return nil, &missingError{"php-fpm is not installed"}
	}
	folder, err := os.MkdirTemp(s.work, "php-")
	if err != nil {
		return nil, err
	}
	root := filepath.Join(folder, "www")
	b := &backEnd{&stack{name: "php-fpm", book: s.book}, filepath.Join(folder, "fpm.sock"), root}
	conf := filepath.Join(folder, "fpm.conf")
	text := fmt.Sprintf("[global]\nerror_log = /dev/stderr\ndaemonize = no\n[www]\nlisten = %s\nlisten.backlog = 4096\npm = static\npm.max_children = %d\n", b.address, phpChildren)
	args := []string{"-n", "-F", "-y", conf}
	if os.Getuid() == 0 {
		text += "user = root\ngroup = root\nlisten.owner = root\n"
		args = append(args, "-R")
	}
	if err := errors.Join(
		os.Chmod(folder, 0o755), os.Mkdir(root, 0o755), os.WriteFile(conf, []byte(text), 0o600),
		os.WriteFile(filepath.Join(root, "hello.php"), []byte("<?php\nheader('Content-Type: text/plain');\necho \"Hello, World!\\n\";\n"), 0o644),
		os.WriteFile(filepath.Join(root, "large.php"), []byte("<?php\nheader('Content-Type: application/octet-stream');\necho str_repeat('x', 1000000);\n"), 0o644),
	); err != nil {
		return nil, err
	}
	if err := b.run(ctx, &b.front, folder, nil, program, args...); err != nil {
		return nil, err
	}
	return b, b.connectable(ctx, "unix")
}

// startHello starts an HTTP server that answers with a text that it has in
// memory.
func startHello(ctx context.Context, s *settings) (*backEnd, error) {
	program, err := lookPath("nginx")
	if err != nil {
		return nil, &missingError{"nginx is not installed"}
	}
	st, folder, address, err := newStack(s, "hello", job{})
	if err != nil {
		return nil, err
	}
	b := &backEnd{stack: st, address: address}
	conf := filepath.Join(folder, "nginx.conf")
	text := nginxGateway(s, folder, fmt.Sprintf("server {\n    listen %s backlog=4096;\n    location / { default_type text/plain; return 200 \"Hello, World!\\n\"; }\n  }", address))
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		return nil, err
	}
	if err := b.run(ctx, &b.front, folder, nil, program, nginxArgs(conf)...); err != nil {
		return nil, err
	}
	return b, b.connectable(ctx, "tcp")
}

// connectable waits until the back end accepts connections, and stops it if it
// does not.
func (b *backEnd) connectable(ctx context.Context, network string) error {
	deadline := time.Now().Add(30 * time.Second)
	for {
		conn, err := new(net.Dialer).DialContext(ctx, network, b.address)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-b.exited():
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
			if time.Now().Before(deadline) {
				continue
			}
		}
		err = fmt.Errorf("%s is not ready: %w\n%s", b.name, err, b.log())
		b.stop()
		return err
	}
}
