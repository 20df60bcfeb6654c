package peers

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"millrace/internal/testkit"
)

// TestHAProxy keeps HAProxy's buffers below 64 KiB: version 2.6 makes FastCGI
// records of what a larger one holds, whose length the header cannot say.
func TestHAProxy(t *testing.T) {
	program := testkit.Need(t, "haproxy")
	a := startApp(t, mirror)
	dir := testkit.ShortDir(t)
	host := testkit.Loopback()
	var b strings.Builder
	b.WriteString(`
global
	tune.bufsize 65536
	tune.http.maxhdr 512
	nbthread 2
defaults
	mode http
	timeout connect 10s
	timeout client 60s
	timeout server 60s
	option http-no-delay
`)
	for _, mpx := range []string{"mpx", "single"} {
		fmt.Fprintf(&b, "fcgi-app %s\n\tdocroot /\n\tindex index\n\tpath-info ^()(/.*)$\n\toption keep-conn\n\t%s\n", mpx, when(mpx == "mpx", "option mpxs-conns\n\toption max-reqs 16"))
	}
	var fronts []front
	var addresses []string
	for i, way := range []struct{ protocol, transport, app, reuse string }{
		{"fastcgi", "tcp", "mpx", "always"}, {"fastcgi", "unix", "mpx", "always"},
		{"fastcgi", "tcp", "single", "always"}, {"fastcgi", "unix", "single", "never"},
		{"http", "tcp", "", "always"}, {"http", "unix", "", "never"},
	} {
		address := fmt.Sprintf("%s:%d", host, 8400+i)
		name := way.protocol + "-" + way.transport + "-" + when(way.app != "", way.app+"-") + way.reuse
		backend := a.tcp(way.protocol)
		if way.transport == "unix" {
			backend = "unix@" + a.unix(way.protocol)
		}
		fmt.Fprintf(&b, "frontend f%d\n\tbind %s\n\tdefault_backend b%[1]d\nbackend b%[1]d\n\thttp-reuse %[3]s\n", i, address, way.reuse)
		if way.protocol == "fastcgi" {
			fmt.Fprintf(&b, "\tuse-fcgi-app %s\n\tserver s %s proto fcgi\n", way.app, backend)
		} else {
			fmt.Fprintf(&b, "\toption forwardfor\n\tserver s %s\n", backend)
		}
		f := front{name: name, url: "http://" + address, maxHeaders: 30_000 /* of a buffer's 64 KiB */, anonymous: way.protocol+way.transport == "httpunix"}
		fronts = append(fronts, f)
		addresses = append(addresses, address)
	}
	config := testkit.Write(t, filepath.Join(dir, "haproxy.cfg"), b.String())
	p := testkit.Run(t, exec.Command(program, "-db", "-f", config))
	p.Listening(addresses...)
	each(t, fronts)
}
