package peers

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"millrace/internal/testkit"
)

// startLighttpd runs lighttpd with a configuration that listens on addresses.
func startLighttpd(t *testing.T, dir, config string, addresses ...string) *testkit.Program {
	t.Helper()
	program := testkit.Need(t, "lighttpd")
	host, port, _ := strings.Cut(addresses[0], ":")
	path := testkit.Write(t, filepath.Join(dir, "lighttpd.conf"), `
server.document-root = "`+dir+`"
server.bind = "`+host+`"
server.port = `+port+`
server.errorlog = "/dev/stderr"
server.upload-dirs = ( "`+dir+`" )
server.max-request-field-size = 65535
server.stream-response-body = 1
server.feature-flags += ( "server.h2proto" => "disable" )
server.http-parseopts = ( "url-normalize" => "disable" )
`+config)
	p := testkit.Run(t, exec.Command(program, "-D", "-f", path))
	p.Listening(addresses...)
	return p
}

func TestLighttpd(t *testing.T) {
	a := startApp(t, mirror)
	dir := testkit.ShortDir(t)
	host := testkit.Loopback()
	ways := []struct{ protocol, transport string }{
		{"fastcgi", "tcp"}, {"fastcgi", "unix"}, {"scgi", "tcp"}, {"scgi", "unix"}, {"http", "tcp"}, {"http", "unix"},
		{"ajp", "tcp"}, {"ajp", "unix"},
	}
	var config strings.Builder
	config.WriteString(`server.modules = ( "mod_fastcgi", "mod_scgi", "mod_proxy", "mod_ajp13" )` + "\n")
	var fronts []front
	var addresses []string
	for i, way := range ways {
		address := fmt.Sprintf("%s:%d", host, 8200+i)
		backend := fmt.Sprintf(`"host" => %q, "port" => %d`, a.host, port(way.protocol))
		if way.transport == "unix" {
			backend = fmt.Sprintf(`"socket" => %q`, a.unix(way.protocol))
		}
		module := map[string]string{"fastcgi": "fastcgi", "scgi": "scgi", "http": "proxy", "ajp": "ajp13"}[way.protocol]
		more := map[string]string{
			"fastcgi": `, "check-local" => "disable", "fix-root-scriptname" => "enable"`,
			"scgi":    `, "check-local" => "disable", "fix-root-scriptname" => "enable"`,
			"http":    "",
			"ajp":     `, "check-local" => "disable"`,
		}[way.protocol]
		prefix := "/"
		if way.protocol == "ajp" {
			prefix = "" // with "/" lighttpd sends no more than the first part of a path
		}
		fmt.Fprintf(&config, "$SERVER[\"socket\"] == %q {\n%s.server = ( %q => (( %s%s )) )\n}\n", address, module, prefix, backend, more)
		f := front{name: way.protocol + "-" + way.transport, url: "http://" + address, maxHeaders: 30_000, anonymous: way.protocol+way.transport == "httpunix"}
		if way.protocol == "ajp" {
			f.maxHeaders = 4_000 // lighttpd's packets have 8 KiB
			f.methods = ajpMethods
		}
		fronts = append(fronts, f)
		addresses = append(addresses, address)
	}
	startLighttpd(t, dir, config.String(), addresses...)
	each(t, fronts)
}

// ajpMethods are those of the cases that AJP has a code for.
const ajpMethods = "GET POST PUT DELETE OPTIONS"

// TestLighttpdAuthorizer: the authorizer decides, its variables reach the
// responder behind it.
func TestLighttpdAuthorizer(t *testing.T) {
	a := startApp(t, mirror)
	dir := testkit.ShortDir(t)
	address := testkit.Loopback() + ":8300"
	backend := fmt.Sprintf(`"host" => %q, "port" => %d`, a.host, port("fastcgi"))
	// Behind an authorizer lighttpd asks a responder only for a file that exists.
	testkit.Write(t, filepath.Join(dir, "cave"), "a file\n")
	startLighttpd(t, dir, fmt.Sprintf(`
server.modules = ( "mod_fastcgi" )
fastcgi.server = ( "/" => (
	"guard" => ( %s, "mode" => "authorizer", "docroot" => %q, "check-local" => "disable" ),
	"app" => ( %s ) ) )
`, backend, dir, backend), address)
	authorized(t, "http://"+address)
}

// authorized shows that the mirror's authorizer stands before what a URL leads
// to.
func authorized(t *testing.T, url string) {
	t.Helper()
	c := client(t)
	resp, text := send(t, c, "GET", url+"/cave", nil, nil)
	if resp.StatusCode != 403 || string(text) != "the cave stays shut\n" {
		t.Errorf("without the word: %s, %q", resp.Status, text)
	}
	resp, text = send(t, c, "GET", url+"/cave", map[string][]string{"X-Word": {"sesame"}}, nil)
	e := mirrorOf(t, resp, text).Environ
	if e["REMOTE_USER"] != "ali" || e["CAVE"] != "open" {
		t.Errorf("with the word: REMOTE_USER %q, CAVE %q", e["REMOTE_USER"], e["CAVE"])
	}
}
