package peers

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"millrace/internal/testkit"
)

// startNginx runs nginx with servers of the http block in a folder.
func startNginx(t *testing.T, dir, servers string, addresses ...string) *testkit.Program {
	t.Helper()
	program := testkit.Need(t, "nginx")
	config := testkit.Write(t, filepath.Join(dir, "nginx.conf"), `
daemon off;
master_process off;
pid `+dir+`/nginx.pid;
error_log stderr warn;
events { worker_connections 512; }
http {
	access_log off;
	client_max_body_size 0;
	client_header_buffer_size 64k;
	large_client_header_buffers 128 64k;
	client_body_temp_path `+dir+`/body;
	proxy_temp_path `+dir+`/proxy;
	fastcgi_temp_path `+dir+`/fastcgi;
	scgi_temp_path `+dir+`/scgi;
	uwsgi_temp_path `+dir+`/uwsgi;
	merge_slashes off;
`+servers+`
}
`)
	p := testkit.Run(t, exec.Command(program, "-e", "stderr", "-p", dir, "-c", config))
	p.Listening(addresses...)
	return p
}

func TestNginx(t *testing.T) {
	a := startApp(t, mirror)
	var servers strings.Builder
	var fronts []front
	var addresses []string
	listen := testkit.Loopback()
	for i, way := range []struct{ protocol, transport, conns string }{
		{"fastcgi", "tcp", "kept"}, {"fastcgi", "tcp", "fresh"}, {"fastcgi", "unix", "kept"}, {"fastcgi", "unix", "fresh"},
		{"scgi", "tcp", "fresh"}, {"scgi", "unix", "fresh"},
		{"uwsgi", "tcp", "fresh"}, {"uwsgi", "unix", "fresh"},
		{"http", "tcp", "kept"}, {"http", "tcp", "fresh"}, {"http", "unix", "kept"}, {"http", "unix", "fresh"},
	} {
		name := way.protocol + "-" + way.transport + "-" + way.conns
		address := fmt.Sprintf("%s:%d", listen, 8100+i)
		backend := a.tcp(way.protocol)
		if way.transport == "unix" {
			backend = "unix:" + a.unix(way.protocol)
		}
		kept := way.conns == "kept"
		fmt.Fprintf(&servers, "upstream %s { server %s; %s }\n", name, backend, when(kept, "keepalive 4;"))
		fmt.Fprintf(&servers, "server { listen %s; location / {\n", address)
		switch way.protocol {
		case "http":
			fmt.Fprintf(&servers, "proxy_pass http://%s; proxy_set_header Host $http_host; proxy_buffering off;\n", name)
			servers.WriteString(when(kept, "proxy_http_version 1.1; proxy_set_header Connection \"\";\n"))
		default:
			// Debian's stock parameters, unedited.
			fmt.Fprintf(&servers, "include /etc/nginx/%[1]s_params; %[1]s_pass %[2]s; %[1]s_buffering off; %[3]s\n", way.protocol, name, when(kept, "fastcgi_keep_conn on;"))
		}
		servers.WriteString("} }\n")
		f := front{name: name, url: "http://" + address, anonymous: way.protocol+way.transport == "httpunix"}
		if way.protocol == "uwsgi" {
			f.maxHeaders = 50_000 // the protocol's own limit is 64 KiB
		}
		if way.protocol == "fastcgi" {
			f.maxHeaders = 50_000 // nginx sends parameters in one record: 64 KiB
		}
		fronts = append(fronts, f)
		addresses = append(addresses, address)
	}
	startNginx(t, testkit.ShortDir(t), servers.String(), addresses...)
	each(t, fronts)
}

func when(condition bool, text string) string {
	if condition {
		return text
	}
	return ""
}
