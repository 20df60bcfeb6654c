// Package millrace_test holds rules about the whole tree.
package millrace_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "millrace"

// layout is the table of the design: which packages of ours a package may
// import. Imports run downwards only. A package that is not here fails the
// test, so that its place is decided when it appears.
var layout = map[string][]string{
	"gateway": {},
	"fcgi":    {"gateway"},
	"scgi":    {"gateway"},
	"uwsgi":   {"gateway"},
	"ajp":     {"gateway"},
	"cgi":     {"gateway"},
	"worker":  {},

	"internal/field":       {}, // names and values, for both sides of HTTP/1.1
	"internal/h1":          {"internal/field"},
	"internal/certs":       {}, // the certificates of sites, and which is for whom
	"internal/h3":          {}, // HTTP/3 on a UDP socket
	"internal/stall":       {}, // responses that their clients do not take
	"internal/handshake":   {}, // TLS connections, parted by what is spoken on them
	"internal/xconnect":    {}, // has net/http take WebSockets over HTTP/2; initialised before it
	"internal/suggest":     {},
	"internal/placeholder": {"gateway", "internal/suggest"},
	"internal/config":      {"internal/auth", "internal/limit", "internal/placeholder", "internal/suggest"}, // hashes, rates and texts are checked when they are loaded
	"internal/adapt":       {"internal/adapt/apache", "internal/adapt/document", "internal/adapt/lighttpd", "internal/adapt/nginx", "internal/config", "internal/suggest"},

	"internal/adapt/document": {"internal/config"}, // a millrace.toml in the making
	"internal/adapt/pcre":     {},                  // regular expressions of other servers
	"internal/adapt/apache":   {"internal/adapt/document", "internal/adapt/pcre", "internal/config", "internal/suggest"},
	"internal/adapt/lighttpd": {"internal/adapt/document", "internal/adapt/pcre", "internal/config", "internal/suggest"},
	"internal/adapt/nginx":    {"internal/adapt/document", "internal/adapt/pcre", "internal/config", "internal/suggest"},

	"internal/listen":      {},
	"internal/logfile":     {},
	"internal/supervise":   {"internal/docroot"}, // programs of a folder
	"internal/systemd":     {},
	"internal/install":     {},                                                                   // files and commands of the system's supervisors
	"internal/attach":      {"internal/supervise"},                                               // programs and cron jobs beside an app
	"internal/keeper":      {"cgi", "internal/listen", "internal/logfile", "internal/supervise"}, // cgi: what a request may set
	"internal/daemontools": {"internal/supervise"},
	"internal/spool":       {},
	"internal/requestid":   {},
	"internal/pool":        {"gateway", "internal/requestid", "internal/spool", "internal/supervise", "worker"},
	"internal/h1client":    {"gateway", "internal/field"}, // HTTP/1.1, the client side
	"internal/upstream":    {"gateway", "internal/forwarded", "internal/h1client", "internal/requestid", "internal/spool"},
	"internal/static":      {"internal/encode"},
	"internal/encode":      {},
	"internal/sendfile":    {"gateway"},
	"internal/auth":        {},
	"internal/authorize":   {"gateway", "internal/requestid"}, // what an authorizer answers is a gateway's response
	"internal/filter":      {"gateway", "internal/requestid", "internal/spool"},
	"internal/limit":       {"internal/placeholder"},
	"internal/forwarded":   {"gateway"},
	"internal/accesslog":   {"internal/logfile", "internal/placeholder"},
	"internal/docroot":     {},
	"internal/script":      {"internal/docroot"},
	"internal/userdir":     {},
	"internal/cache":       {}, // responses, in memory and on disk
	"internal/route":       {"internal/placeholder"},
	"internal/respond":     {"internal/placeholder"},
	"internal/admin":       {},
	"internal/project":     {"internal/config", "worker"},
	"internal/server":      {anything},
	"cmd/millrace": {
		"internal/adapt", "internal/adapt/document", "internal/admin", "internal/config", "internal/daemontools", "internal/keeper", "internal/listen", "internal/logfile",
		"internal/project", "internal/server", "internal/install", "internal/supervise", "internal/systemd", "gateway", "fcgi", "scgi", "uwsgi", "ajp", "cgi",
	},

	"internal/testkit": {}, // for tests

	".":         {},                                                        // this test
	"e2e":       {},                                                        // the binary from outside
	"e2e/adapt": {},                                                        // the same, beside the servers whose configurations it reads
	"e2e/peers": {"gateway", "fcgi", "scgi", "uwsgi", "ajp", "cgi"},        // and our clients
	"bench":     {"internal/pool", "internal/spool", "internal/supervise"}, // fairness.go runs pools of its own
}

// anything is every package of ours but notByServer.
const anything = "*"

var notByServer = []string{"cmd/millrace", "internal/adapt", "internal/adapt/apache", "internal/adapt/document", "internal/adapt/lighttpd", "internal/adapt/nginx", "internal/adapt/pcre", "internal/project", "internal/testkit"}

// inTests are packages that tests may import, those of libraries excepted, and
// nothing else.
var inTests = []string{module + "/internal/testkit"}

// libraries import the standard library alone, so that anyone can use them.
var libraries = []string{"gateway", "fcgi", "scgi", "uwsgi", "ajp", "cgi"}

// thirdParty are the modules that the product may stand on, one a job.
var thirdParty = []string{
	"github.com/pelletier/go-toml/v2", "github.com/spf13/cobra", "github.com/spf13/pflag", "github.com/caddyserver/certmagic", "go.uber.org/zap", // of certmagic: how it logs

	"github.com/klauspost/compress", "github.com/andybalholm/brotli", "github.com/prometheus/client_golang",
	"github.com/prometheus/common", "github.com/prometheus/client_model", // of client_golang; tests alone parse with them
	"go.etcd.io/etcd/client/v3", "github.com/redis/go-redis/v9", "github.com/fsnotify/fsnotify",
	"github.com/rogpeppe/go-internal/testscript", "github.com/quic-go/quic-go", "golang.org/x/sys",
	"golang.org/x/crypto/bcrypt",
	"golang.org/x/net/http2",                               // tests alone: net/http's client has no extended CONNECT
	"google.golang.org/grpc", "google.golang.org/protobuf", // tests alone: a client and a back end that speak gRPC
}

func TestImports(t *testing.T) {
	seen := map[string]bool{}
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			base := d.Name()
			if name != "." && (strings.HasPrefix(base, ".") || base == "testdata" || base == "bin" || base == "out") {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			t.Error(err)
			return nil
		}
		pkg := path.Dir(filepath.ToSlash(name))
		seen[pkg] = true
		for _, spec := range file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Errorf("%s: import %s: %v", name, spec.Path.Value, err)
				continue
			}
			if slices.Contains(inTests, imported) && !slices.Contains(libraries, pkg) {
				if !strings.HasSuffix(name, "_test.go") {
					t.Errorf("%s imports %s: it is for tests alone", name, imported)
				}
				continue
			}
			if why := forbidden(pkg, imported); why != "" {
				t.Errorf("%s imports %s: %s", name, imported, why)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for pkg := range seen {
		if _, ok := layout[pkg]; !ok {
			t.Errorf("package %s has no line in the layout table: decide what it may import", pkg)
		}
	}
	if !seen["gateway"] || !seen["cmd/millrace"] {
		t.Errorf("the walk found %d packages and missed some that are there", len(seen))
	}
}

// forbidden says why pkg must not import a path; "" if it may.
func forbidden(pkg, imported string) string {
	ours, isOurs := strings.CutPrefix(imported, module+"/")
	switch {
	case isOurs && ours == pkg: // an external test of the package
		return ""
	case isOurs:
		allowed := layout[pkg]
		if slices.Contains(allowed, ours) || slices.Contains(allowed, anything) && !slices.Contains(notByServer, ours) {
			return ""
		}
		return "not in its line of the layout table"
	case !strings.Contains(strings.Split(imported, "/")[0], "."):
		return "" // the standard library
	case slices.Contains(libraries, pkg):
		return "it is a library and stands on the standard library alone"
	}
	for _, m := range thirdParty {
		if imported == m || strings.HasPrefix(imported, m+"/") {
			return ""
		}
	}
	return "not among the modules that the product stands on"
}

func TestForbidden(t *testing.T) {
	tests := []struct {
		pkg, imported string
		may           bool
	}{
		{"gateway", "net/http", true},
		{"gateway", "millrace/internal/spool", false},
		{"gateway", "golang.org/x/sys/unix", false},
		{"internal/spool", "golang.org/x/sys/unix", true},
		{"internal/spool", "golang.org/x/system", false},
		{"internal/spool", "github.com/someone/else", false},
		{"internal/pool", "millrace/worker", true},
		{"internal/pool", "millrace/internal/config", false},
		{"internal/pool", "millrace/internal/pool", true},
		{"internal/server", "millrace/internal/pool", true},
		{"internal/server", "millrace/internal/adapt", false},
		{"cmd/millrace", "millrace/internal/pool", false},
		{"internal/unknown", "millrace/worker", false},
	}
	for _, test := range tests {
		if why := forbidden(test.pkg, test.imported); (why == "") != test.may {
			t.Errorf("%s imports %s: %q; may it? %v", test.pkg, test.imported, why, test.may)
		}
	}
}
