package main

// The file servers: how each is configured. Each has a process for each core, as
// millrace has. None writes an access log; what else is their own default is left
// so.

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"time"
)

// fileServer is a server that may be started for a site.
type fileServer struct {
	name  string
	start func(ctx context.Context, s *settings, at site, row staticRow) (*stack, error)
}

var fileServers = []fileServer{
	{"millrace", startMillraceFiles},
	{"nginx", func(ctx context.Context, s *settings, at site, row staticRow) (*stack, error) {
		return startNginxFiles(ctx, s, at, row, "nginx", "")
	}},
	{"nginx, open_file_cache", func(ctx context.Context, s *settings, at site, row staticRow) (*stack, error) {
		return startNginxFiles(ctx, s, at, row, "nginx, open_file_cache", "open_file_cache max=4096; open_file_cache_valid 1s;")
	}},
	{"lighttpd", startLighttpd},
	{"Caddy", startCaddy},
}

// startFiles starts one program with one configuration, and waits until it
// answers.
func startFiles(ctx context.Context, s *settings, row staticRow, name, program, file string, config func(folder, address string) string, args func(path string) []string) (*stack, error) {
	path, err := lookPath(program)
	if err != nil {
		return nil, &missingError{program + " is not installed"}
	}
	st, folder, address, err := newStack(s, name, job{path: row.path, size: row.size})
	if err != nil {
		return nil, err
	}
	if row.secure {
		st.ask.url = "https" + st.ask.url[len("http"):]
	}
	conf := filepath.Join(folder, file)
	if err := os.WriteFile(conf, []byte(config(folder, address)), 0o644); err != nil {
		return nil, err
	}
	if err := st.run(ctx, &st.front, folder, nil, path, args(conf)...); err != nil {
		return nil, err
	}
	return st, st.ready(ctx)
}

func startMillraceFiles(ctx context.Context, s *settings, at site, row staticRow) (*stack, error) {
	return startFiles(ctx, s, row, "millrace", s.millrace, "millrace.toml", func(folder, address string) string {
		tls := ""
		if row.secure {
			tls = fmt.Sprintf("[site.tls]\ncertificate = %q\nkey = %q\n", at.certificate, at.key)
		}
		return fmt.Sprintf("[server]\ncontrol = \"control.sock\"\n[[site]]\nlisten = [%q]\n%s[[site.route]]\nfiles = { root = %q, listing = true }\n", address, tls, at.root)
	}, serveArgs)
}

func startNginxFiles(ctx context.Context, s *settings, at site, row staticRow, name, more string) (*stack, error) {
	return startFiles(ctx, s, row, name, "nginx", "nginx.conf", func(folder, address string) string {
		user, secure := "", ""
		if os.Getuid() == 0 {
			user = "user root;" // the folder is root's
		}
		if row.secure {
			secure = " ssl"
		}
		return fmt.Sprintf(`%s
daemon off;
worker_processes %d;
pid %[3]s/nginx.pid;
error_log stderr warn;
events { worker_connections 4096; }
http {
  access_log off;
  keepalive_requests 1000000000;
  sendfile on;
  tcp_nopush on;
  types { text/html html; image/jpeg jpg; }
  client_body_temp_path %[3]s/body;
  proxy_temp_path %[3]s/proxy;
  fastcgi_temp_path %[3]s/fastcgi;
  uwsgi_temp_path %[3]s/uwsgi;
  scgi_temp_path %[3]s/scgi;
  ssl_certificate %[4]s;
  ssl_certificate_key %[5]s;
  %[6]s
  server {
    listen %[7]s%[8]s backlog=4096;
    root %[9]s;
    autoindex on;
  }
}
`, user, runtime.NumCPU(), folder, at.certificate, at.key, more, address, secure, at.root)
	}, nginxArgs)
}

func startLighttpd(ctx context.Context, s *settings, at site, row staticRow) (*stack, error) {
	return startFiles(ctx, s, row, "lighttpd", "lighttpd", "lighttpd.conf", func(_, address string) string {
		host, port, _ := net.SplitHostPort(address)
		secure := ""
		if row.secure {
			secure = fmt.Sprintf("server.modules += (\"mod_openssl\")\nssl.engine = \"enable\"\nssl.pemfile = %q\nssl.privkey = %q\n", at.certificate, at.key)
		}
		return fmt.Sprintf(`server.modules = ("mod_dirlisting")
server.document-root = %q
server.bind = %q
server.port = %s
server.max-worker = %d
server.max-keep-alive-requests = 65535
server.max-connections = 2048
server.listen-backlog = 4096
dir-listing.activate = "enable"
mimetype.assign = (".html" => "text/html", ".jpg" => "image/jpeg", "" => "application/octet-stream")
%s`, at.root, host, port, runtime.NumCPU(), secure)
	}, lighttpdArgs)
}

func startCaddy(ctx context.Context, s *settings, at site, row staticRow) (*stack, error) {
	return startFiles(ctx, s, row, "Caddy", "caddy", "Caddyfile", func(folder, address string) string {
		scheme, secure := "http", ""
		if row.secure {
			scheme, secure = "https", fmt.Sprintf("tls %s %s", at.certificate, at.key)
		}
		return fmt.Sprintf(`{
	admin off
	auto_https off
	storage file_system %s
	default_sni 127.0.0.1
}
%s://%s {
	%s
	root * %s
	file_server browse
}
`, folder, scheme, address, secure, at.root)
	}, caddyArgs)
}

// makeCertificate makes a key and a certificate for 127.0.0.1 that it signs
// itself.
func makeCertificate(certificate, key string) error {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "127.0.0.1"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		return err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(certificate, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644),
		os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600))
}
