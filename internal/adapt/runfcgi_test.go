package adapt

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"millrace/internal/config"
)

// parse reads arguments as if typed in /here.
func parse(t *testing.T, args ...string) *Runfcgi {
	t.Helper()
	r, err := ParseRunfcgi(args, RunfcgiOptions{Dir: "/here"})
	if err != nil {
		t.Fatalf("%q: %v", args, err)
	}
	return r
}

// said leaves out what is not exported.
func exported(r *Runfcgi) Runfcgi {
	c := *r
	c.said, c.host, c.port, c.socket = nil, "", "", ""
	return c
}

func TestOptions(t *testing.T) {
	nothing := Runfcgi{Protocol: "fastcgi", Umask: -1, Dir: "/here"}
	tests := []struct {
		args string
		want func(*Runfcgi)
	}{
		{"", func(*Runfcgi) {}},
		{"protocol=scgi", func(r *Runfcgi) { r.Protocol = "scgi" }},
		{"protocol=FCGI", func(*Runfcgi) {}},
		{"protocol=fastcgi", func(*Runfcgi) {}},
		{"protocol=ajp", func(r *Runfcgi) { r.Protocol = "ajp" }},
		{"protocol=uwsgi", func(r *Runfcgi) { r.Protocol = "uwsgi" }},
		{"--protocol http", func(r *Runfcgi) { r.Protocol = "http" }},
		{"host=127.0.0.1 port=9000", func(r *Runfcgi) { r.Address, r.Daemonize = "127.0.0.1:9000", true }},
		{"-h ::1 -p 9000", func(r *Runfcgi) { r.Address, r.Daemonize = "[::1]:9000", true }},
		{"--host=[::1] -p0", func(r *Runfcgi) { r.Address, r.Daemonize = "[::1]:0", true }},
		{"socket=/run/x.sock", func(r *Runfcgi) { r.Address, r.Daemonize = "unix:/run/x.sock", true }},
		{"-s run/x.sock --daemon", func(r *Runfcgi) { r.Address, r.Daemonize = "unix:/here/run/x.sock", true }},
		{"-sx.sock daemonize=No", func(r *Runfcgi) { r.Address = "unix:/here/x.sock" }},
		{"socket=a=b.sock daemonize=false", func(r *Runfcgi) { r.Address = "unix:/here/a=b.sock" }},
		{"SOCKET=x daemonize", func(r *Runfcgi) { r.Address, r.Daemonize = "unix:/here/x", true }},
		{"method=prefork", func(r *Runfcgi) { r.Method = "prefork" }},
		{"method=fork", func(r *Runfcgi) { r.Method = "prefork" }},
		{"method=thread", func(r *Runfcgi) { r.Method = "threaded" }},
		{"Method=Threaded", func(r *Runfcgi) { r.Method = "threaded" }},
		{"minspare=5 MAXSPARE=10 --maxChildren=100 --maxrequests 0", func(r *Runfcgi) { r.MinSpare, r.MaxSpare, r.MaxChildren = 5, 10, 100 }},
		{"maxrequests=7", func(r *Runfcgi) { r.MaxRequests = 7 }},
		{"pidfile=run/m.pid outlog=/var/o errlog=e", func(r *Runfcgi) { r.PIDFile, r.OutLog, r.ErrLog = "/here/run/m.pid", "/var/o", "/here/e" }},
		{"--etclog=/o --errorlog=/e", func(r *Runfcgi) { r.OutLog, r.ErrLog = "/o", "/e" }},
		{"workdir=..", func(r *Runfcgi) { r.Workdir = "/" }},
		{"umask=022", func(r *Runfcgi) { r.Umask = 0o22 }},
		{"umask=0", func(r *Runfcgi) { r.Umask = 0 }},
		{"umask=0o77", func(r *Runfcgi) { r.Umask = 0o77 }},
		{"debug=false", func(*Runfcgi) {}}, // in Django any value is true
		{"debug=true", func(r *Runfcgi) { r.Debug = true }},
		{"--debug", func(r *Runfcgi) { r.Debug = true }},
		{"-f mysite.settings", func(r *Runfcgi) { r.Settings = "mysite.settings" }},
		{"pythonpath=lib:/usr/x", func(r *Runfcgi) { r.PythonPath = []string{"/here/lib", "/usr/x"} }},
		{"app=mysite.wsgi:application dir=site venv=env", func(r *Runfcgi) { r.App, r.Dir, r.Venv = "mysite.wsgi:application", "/here/site", "/here/env" }},
		{"app=admin", func(r *Runfcgi) { r.App = "admin" }},
		{"protocol=ajp secret=x host=0.0.0.0 port=8009 daemonize=f", func(r *Runfcgi) { r.Protocol, r.Secret, r.Address = "ajp", "x", "0.0.0.0:8009" }},
		{"protocol=ajp host=localhost port=8009 daemonize=f", func(r *Runfcgi) { r.Protocol, r.Address = "ajp", "localhost:8009" }},
		{"control=c.sock", func(r *Runfcgi) { r.Control = "/here/c.sock" }},
		{"help", func(r *Runfcgi) { r.Help = true }},
		{"--help nonsense=1", nil},
		{"-h", func(r *Runfcgi) { r.Help = true }},
		{"socket=/x host=y HELP", func(r *Runfcgi) { r.Help = true }},
	}
	for _, test := range tests {
		r, err := ParseRunfcgi(strings.Fields(test.args), RunfcgiOptions{Dir: "/here"})
		if test.want == nil {
			if err == nil {
				t.Errorf("%s: no error", test.args)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", test.args, err)
			continue
		}
		want := nothing
		test.want(&want)
		if got := exported(r); !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n got %+v\nwant %+v", test.args, got, want)
		}
	}
}

func TestWrongOptions(t *testing.T) {
	tests := []struct{ args, problem, fix string }{
		{"minspare=many", `minspare="many" can't be: it takes a whole number from 1 on`, "help"},
		{"minspare=0", `minspare="0" can't be: it takes a whole number from 1 on`, ""},
		{"maxchildren=-1", `maxchildren="-1" can't be: it takes a whole number from 1 on`, ""},
		{"maxrequests=1.5", `maxrequests="1.5" can't be: it takes a whole number; 0 is no limit`, ""},
		{"maxspare=99999999999", `maxspare="99999999999" can't be`, ""},
		{"protocol=fcgi2", `protocol="fcgi2" can't be: it takes fcgi (or fastcgi), scgi, ajp, uwsgi or http`, ""},
		{"method=gevent", `method="gevent" can't be: it takes prefork (or fork), or threaded (or thread)`, ""},
		{"host=127.0.0.1", `host="127.0.0.1" is only half an address: it takes a port as well`, "port=PORT"},
		{"port=9000", `port="9000" is only half an address: it takes a host as well`, "host=127.0.0.1"},
		{"host=* port=1", `host="*" can't be: it takes the name or the number of an address`, ""},
		{"host= port=1", `host="" can't be`, ""},
		{"host=x port=65536", `port="65536" can't be: it takes a number from 1 to 65535`, ""},
		{"host=x port=http", `port="http" can't be`, ""},
		{"socket=/x host=y", `socket="/x" does not go with host="y"`, "leave out"},
		{"socket=/x port=1", `socket="/x" does not go with port="1"`, "leave out"},
		{"pidfile=x.log errlog=/here/x.log", `pidfile="x.log" is the errlog as well; it takes a file of its own`, "name another file"},
		{"pidfile=x outlog=./y/../x", `pidfile="x" is the outlog as well`, "name another file"},
		{"socket=run/x pidfile=/here/run/x", `pidfile="/here/run/x" is the socket as well`, "name another file"},
		{"pidfile=x control=x", `pidfile="x" is the control as well`, "name another file"},
		{"socket=", `socket="" can't be: it takes the path of a file`, ""},
		{"socket", `socket has no value; it takes the path of a file`, "write socket=FILE"},
		{"--socket", `socket has no value; it takes the path of a file`, "write socket=FILE"},
		{"-s", `socket has no value; it takes the path of a file`, "write socket=FILE"},
		{"-x", `unknown option "-x"`, "-f settings"},
		{"daemonize=maybe socket=/x", `daemonize="maybe" can't be: it takes true, yes, t or false, no, f`, ""},
		{"daemonize=true", `daemonize="true" takes an address`, "socket=FILE"},
		{"--daemon", `daemonize="true" takes an address`, "socket=FILE"},
		{"debug=2", `debug="2" can't be: it takes true, yes, t or false, no, f`, ""},
		{"umask=18", `umask="18" can't be: it takes an octal number from 000 to 777`, ""},
		{"umask=1000", `umask="1000" can't be`, ""},
		{"umask=700 socket=/x", `umask="700" would keep the owner of the socket out`, "umask=077"},
		{"settings=my/site.py", `settings="my/site.py" can't be: it takes a module as Python imports it`, ""},
		{"pythonpath=", `pythonpath="" can't be`, ""},
		{"pythonpath=/a::/b", `pythonpath="/a::/b" can't be`, ""},
		{"app=mysite.wsgi.application", `app="mysite.wsgi.application" can't be: it takes module:callable`, ""},
		{"minspare=6 maxspare=5", `minspare="6" is more than maxspare=5; it takes minspare ≤ maxspare ≤ maxchildren`, ""},
		{"minspare=6 maxchildren=5", `minspare="6" is more than maxchildren=5`, ""},
		{"maxspare=6 maxchildren=5", `maxspare="6" is more than maxchildren=5`, ""},
		{"secret=x", `secret="x" has no meaning: it takes protocol=ajp`, ""},
		{"protocol=ajp host=0.0.0.0 port=8009", `host="0.0.0.0" can be reached from outside`, "secret=TEXT"},
		{"minspare=1 MinSpare=2", `minspare is given twice: "1" and "2"`, "once"},
		{"daemon daemonize=no", `daemonize is given twice: "true" and "no"`, "once"},
		{"minspar=1", `unknown option "minspar"`, "did you mean minspare=N?"},
		{"--min-spare 1", `unknown option "min-spare"`, "did you mean minspare=N?"},
		{"max_children=1", `unknown option "max_children"`, "did you mean maxchildren=N?"},
		{"frobnicate=1", `unknown option "frobnicate"`, "help"},
		{strings.Repeat("x", 5000) + "=1", `unknown option "xxx`, "help"},
		{"mysite.wsgi:application", `"mysite.wsgi:application" is neither KEY=VALUE nor a script that there is`, "write app=mysite.wsgi:application"},
	}
	for _, test := range tests {
		_, err := ParseRunfcgi(strings.Fields(test.args), RunfcgiOptions{Dir: "/here"})
		checkError(t, test.args, err, test.problem, test.fix)
	}
}

// checkError wants an *ArgumentError of one short line and a hint.
func checkError(t *testing.T, what string, err error, problem, fix string) {
	t.Helper()
	var e *ArgumentError
	if !errors.As(err, &e) {
		t.Errorf("%.80s: %v; want an *ArgumentError", what, err)
		return
	}
	if !strings.Contains(e.Error(), problem) || !strings.Contains(e.Hint(), fix) || e.Hint() == "" {
		t.Errorf("%.80s: %s\n  hint: %s\nwant %q and %q", what, e, e.Hint(), problem, fix)
	}
	if strings.ContainsAny(e.Error()+e.Hint(), "\n\r\x1b") || len(e.Error()) > 500 {
		t.Errorf("%.80s: %d bytes: %q", what, len(e.Error()), e.Error())
	}
}

// project is what package project makes of a folder.
func project() *config.Config {
	return &config.Config{
		Sites: []config.Site{{Routes: []config.Route{{App: "main"}}}},
		Apps:  map[string]*config.App{"main": {WSGI: "mysite.wsgi:application", Dir: "/"}},
	}
}

func TestApply(t *testing.T) {
	type numbers struct{ min, max, children, requests int }
	tests := []struct {
		args  string
		want  config.AppListen
		pool  numbers
		extra func(c *config.Config) bool
	}{
		{"socket=/run/x daemonize=no", config.AppListen{Protocol: "fastcgi", Address: "unix:/run/x", Mode: "0666"}, numbers{2, 5, 50, 0}, nil},
		{"socket=/run/x umask=027", config.AppListen{Protocol: "fastcgi", Address: "unix:/run/x", Mode: "0640"}, numbers{2, 5, 50, 0}, nil},
		{"host=127.0.0.1 port=1 protocol=scgi maxrequests=9", config.AppListen{Protocol: "scgi", Address: "127.0.0.1:1", Mode: "0666", Allow: []string{"192.0.2.1"}}, numbers{2, 5, 50, 9}, nil},
		{"socket=/x maxchildren=1", config.AppListen{Protocol: "fastcgi", Address: "unix:/x", Mode: "0666"}, numbers{1, 1, 1, 0}, nil},
		{"socket=/x minspare=60", config.AppListen{Protocol: "fastcgi", Address: "unix:/x", Mode: "0666"}, numbers{60, 60, 60, 0}, nil},
		{"", config.AppListen{Protocol: "fastcgi", Address: "fd:0", Mode: "0666"}, numbers{1, 1, 1, 0}, nil},
		{"maxspare=3", config.AppListen{Protocol: "fastcgi", Address: "fd:0", Mode: "0666"}, numbers{2, 3, 50, 0}, nil},
		{"method=threaded errlog=/e outlog=/o pidfile=/p control=/c", config.AppListen{Protocol: "fastcgi", Address: "fd:0", Mode: "0666"}, numbers{1, 1, 1, 0}, func(c *config.Config) bool {
			return c.Apps["main"].Method == "threaded" && c.Server.ErrorLog == "/e" && c.Server.PIDFile == "/p" && c.Server.Control == "/c"
		}},
		{"outlog=/o", config.AppListen{Protocol: "fastcgi", Address: "fd:0", Mode: "0666"}, numbers{1, 1, 1, 0}, func(c *config.Config) bool { return c.Server.ErrorLog == "/o" }},
	}
	for _, test := range tests {
		c := project()
		if err := parse(t, strings.Fields(test.args)...).Apply(c, test.want.Allow); err != nil {
			t.Errorf("%s: %v", test.args, err)
			continue
		}
		if err := c.Complete("/"); err != nil {
			t.Errorf("%s: %v", test.args, err)
			continue
		}
		app := c.Apps["main"]
		if len(app.Listen) != 1 || len(c.Sites) != 0 {
			t.Errorf("%s: listens %+v, sites %+v", test.args, app.Listen, c.Sites)
			continue
		}
		got := app.Listen[0]
		if len(got.Allow) == 0 {
			got.Allow = nil
		}
		test.want.PacketSize = 8 << 10 // AJP's default
		if !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s:\n got %+v\nwant %+v", test.args, got, test.want)
		}
		if got := (numbers{app.MinSpare, app.MaxSpare, app.MaxChildren, app.MaxRequests}); got != test.pool {
			t.Errorf("%s: %+v; want %+v", test.args, got, test.pool)
		}
		if test.extra != nil && !test.extra(c) {
			t.Errorf("%s: %+v %+v", test.args, c.Server, app)
		}
	}
}

// TestApplyNames: what package config refuses is said of the option.
func TestApplyNames(t *testing.T) {
	for _, test := range []struct {
		args  string
		allow []string
		want  string
	}{
		{"socket=/" + strings.Repeat("x", 120), nil, "socket=/xxx"},
		{"host=127.0.0.1 port=1", []string{"localhost"}, "FCGI_WEB_SERVER_ADDRS: "},
	} {
		c := project()
		err := parse(t, strings.Fields(test.args)...).Apply(c, test.allow)
		if err == nil {
			err = c.Complete("/")
		}
		if err == nil || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%s: %v; want %s", test.args, err, test.want)
		}
	}
}

const twoApps = `
[server]
pidfile = "m.pid"
error_log = "m.log"
control = "m.sock"
max_header = "32KiB"
[[site]]
listen = ["127.0.0.1:8000"]
[[site.route]]
app = "main"
[app.main]
wsgi = "a:b"
min_spare = 3
preload = false
[[app.main.listen]]
protocol = "scgi"
address = "127.0.0.1:9999"
[app.admin]
wsgi = "c:d"
workers = 4
`

// TestApplyConfig: of a millrace.toml one app is left, with its own numbers,
// and the limits; nothing that the server of that file has open.
func TestApplyConfig(t *testing.T) {
	load := func() *config.Config {
		t.Helper()
		c, err := config.Parse("millrace.toml", []byte(twoApps), t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	c := load()
	if err := parse(t, "socket=/x", "app=main", "maxspare=7").Apply(c, nil); err != nil {
		t.Fatal(err)
	}
	if err := c.Complete("/"); err != nil {
		t.Fatal(err)
	}
	app := c.Apps["main"]
	if len(c.Apps) != 1 || app.MinSpare != 3 || app.MaxSpare != 7 || app.MaxChildren != 20 || app.Preload.On() {
		t.Errorf("%d apps, %+v", len(c.Apps), app)
	}
	if len(app.Listen) != 1 || app.Listen[0].Address != "unix:/x" || len(c.Sites) != 0 {
		t.Errorf("listens %+v, sites %+v", app.Listen, c.Sites)
	}
	if s := c.Server; s.PIDFile != "" || s.ErrorLog != "" || s.Control != "" || s.MaxHeader != 32<<10 {
		t.Errorf("%+v", s)
	}
	c = load()
	if err := parse(t, "socket=/x", "app=admin").Apply(c, nil); err != nil {
		t.Fatal(err)
	}
	if err := c.Complete("/"); err != nil {
		t.Fatal(err)
	}
	if app := c.Apps["admin"]; app == nil || app.MinSpare != 4 || app.MaxChildren != 4 {
		t.Errorf("%+v", app)
	}
	err := parse(t, "socket=/x").Apply(load(), nil)
	checkError(t, "two apps", err, "has 2 apps: it takes app=NAME", "admin, main")
	err = parse(t, "socket=/x", "app=other").Apply(load(), nil)
	checkError(t, "no such app", err, `app="other" is no app of the configuration`, "admin, main")
}

// TestDocs: docs/runfcgi.md holds the table as it is in the code.
func TestDocs(t *testing.T) {
	text, err := os.ReadFile(filepath.FromSlash("../../docs/runfcgi.md"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), RunfcgiTable()) {
		t.Errorf("docs/runfcgi.md has not this table:\n%s", RunfcgiTable())
	}
	for _, o := range options {
		if !strings.Contains(RunfcgiHelp(), "  "+o.name+"="+o.value+" ") {
			t.Errorf("the help has no %s", o.name)
		}
	}
}
