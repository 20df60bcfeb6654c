package config

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func inCode(app *App) *Config {
	return &Config{
		Sites: []Site{{Routes: []Route{{App: "main"}}}},
		Apps:  map[string]*App{"main": app},
	}
}

// A Config made in code comes out like the same one from a file.
func TestCompleteInCode(t *testing.T) {
	dir := world(t)
	cfg := inCode(&App{WSGI: "hello:app"})
	if err := cfg.Complete(dir); err != nil {
		t.Fatal(err)
	}
	fromFile, err := Parse("x.toml", []byte("[app.main]\nwsgi = \"hello:app\"\n"), dir)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := dump(cfg, true), dump(fromFile, true); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	if !reflect.DeepEqual(cfg.Apps, fromFile.Apps) || !reflect.DeepEqual(cfg.Sites, fromFile.Sites) {
		t.Error("the types of package config hold more than what dump shows")
	}
}

func TestCompleteInCodeWithoutSite(t *testing.T) {
	cfg := &Config{Apps: map[string]*App{"one": {WSGI: "hello:app"}}}
	if err := cfg.Complete(world(t)); err != nil {
		t.Fatal(err)
	}
	want := []Site{{Listen: []string{"127.0.0.1:8000"}, LogFormat: "combined", AccessLogKeep: 5, Routes: []Route{{App: "one"}}}}
	if !reflect.DeepEqual(cfg.Sites, want) {
		t.Errorf("got %+v", cfg.Sites)
	}
}

// Problems of a Config made in code have no place, and no panic.
func TestCompleteInCodeInvalid(t *testing.T) {
	for name, tt := range map[string]struct {
		cfg  *Config
		want string
	}{
		"nothing": {&Config{}, "there is nothing to serve: neither [[site]] nor [app.NAME]\n" +
			`  hint: the least is [app.main] with wsgi = "module:callable"`},
		"nil app": {inCode(nil), "wsgi is missing in [app.main]\n" + `  hint: write wsgi = "module:callable", or command = ["PROGRAM"]`},
		"negative": {inCode(&App{WSGI: "a:b", RequestTimeout: -time.Second}), `request_timeout = "-1s" in [app.main]: is negative` + "\n" +
			`  hint: it takes a duration with a unit, like "500ms", "30s" or "5m", or "0s"`},
		"numbers": {inCode(&App{WSGI: "a:b", MinSpare: 9, MaxChildren: 3}), "min_spare = 9 in [app.main]: is more than max_children, which is 3\n" +
			"  hint: min_spare ≤ max_spare ≤ max_children"},
		"no root": {&Config{Sites: []Site{{Routes: []Route{{Files: &Files{}}}}}}, "root is missing in files of [[site.route]]\n" +
			`  hint: write files = { root = "FOLDER" }`},
		"empty root": {&Config{Sites: []Site{{Routes: []Route{{Files: &Files{Root: Strings{""}}}}}}}, `root = "" in files of [[site.route]]: is empty` + "\n" +
			"  hint: it takes the path of a folder that exists and holds files to be served, or a list of them"},
		"no app": {&Config{Sites: []Site{{Routes: []Route{{App: "main"}}}}}, `app = "main" in [[site.route]]: there is no such app` + "\n" +
			"  hint: add [app.main]"},
		"nil upstream": {&Config{Sites: []Site{{Routes: []Route{{Upstream: "u"}}}}, Upstreams: map[string]*Upstream{"u": nil}}, "protocol is missing in [upstream.u]\n" +
			`  hint: write protocol = "fastcgi", "scgi", "uwsgi", "ajp", "http", "https", "h2" or "h2c"` + "\nservers is missing in [upstream.u]\n" + `  hint: write servers = ["127.0.0.1:PORT"]`},
		"empty listen": {&Config{Apps: map[string]*App{"main": {WSGI: "a:b", Listen: []AppListen{{}}}}}, "protocol is missing in [[app.main.listen]]\n" +
			`  hint: write protocol = "fastcgi", "scgi", "uwsgi", "ajp" or "http"` + "\naddress is missing in [[app.main.listen]]\n" + `  hint: write address = "127.0.0.1:PORT", "unix:/PATH" or "fd:0"`},
		"name": {&Config{Apps: map[string]*App{"a.b": {}}}, `"a.b" in [app] is not a name` + "\n" +
			"  hint: a name is of letters, digits, _ and -, at most 64 of them"},
	} {
		t.Run(name, func(t *testing.T) {
			err := tt.cfg.Complete(world(t))
			var all Errors
			if !errors.As(err, &all) || err.Error() != tt.want {
				t.Fatalf("got:\n%v\nwant:\n%s", err, tt.want)
			}
			var first *Error
			if !errors.As(err, &first) || first != all[0] {
				t.Errorf("errors.As gives %v for the first problem", first)
			}
			if e := all[0]; e.File != "" || e.Line != 0 || e.Column != 0 {
				t.Errorf("%+v has a place", e)
			}
		})
	}
}

// A field that is changed after Complete counts, and the numbers that
// Complete had worked out give way to it.
func TestChangeAfterComplete(t *testing.T) {
	dir := world(t)
	type numbers struct{ workers, min, spare, children int }
	for name, tt := range map[string]struct {
		first  App
		change func(*App)
		want   numbers
	}{
		"children":         {App{}, func(a *App) { a.MaxChildren = 3 }, numbers{0, 2, 3, 3}},
		"workers":          {App{}, func(a *App) { a.Workers = 9 }, numbers{9, 9, 9, 9}},
		"no longer fixed":  {App{Workers: 9}, func(a *App) { a.Workers = 0 }, numbers{0, 2, 5, 20}},
		"other workers":    {App{Workers: 9}, func(a *App) { a.Workers = 4 }, numbers{4, 4, 4, 4}},
		"beside one given": {App{MinSpare: 8}, func(a *App) { a.MaxChildren = 10 }, numbers{0, 8, 8, 10}},
		"nothing":          {App{MinSpare: 8}, func(a *App) {}, numbers{0, 8, 8, 20}},
	} {
		t.Run(name, func(t *testing.T) {
			app := tt.first
			app.WSGI = "hello:app"
			cfg := inCode(&app)
			if err := cfg.Complete(dir); err != nil {
				t.Fatal(err)
			}
			tt.change(&app)
			for range 2 {
				if err := cfg.Complete(dir); err != nil {
					t.Fatal(err)
				}
				if got := (numbers{app.Workers, app.MinSpare, app.MaxSpare, app.MaxChildren}); got != tt.want {
					t.Errorf("got %+v, want %+v", got, tt.want)
				}
			}
		})
	}
}

const twoApps = `[server]
error_log = "log/error.log"
[[site]]
listen = ":1"
root = "static"
[[site]]
listen = ":2"
hosts = ["a", "b"]
[[site.route]]
app = "one"
[app.one]
wsgi = "hello:app"
min_spare = 3
max_children = 30
env = { A = "1", B = "2" }
[[app.one.listen]]
protocol = "scgi"
address = ":3"
[[app.one.listen]]
protocol = "ajp"
address = "127.0.0.1:4"
[app.two]
wsgi = "hello:app"
workers = 7
[upstream.api]
protocol = "http"
servers = "127.0.0.1:5"
`

type setting struct {
	origin, key string
	values      []string
}

func setAll(cfg *Config, settings []setting) error {
	var all []error
	for _, s := range settings {
		if s.origin == "complete" {
			all = append(all, cfg.Complete("."))
			continue
		}
		all = append(all, cfg.Set(s.origin, s.key, s.values...))
	}
	return errors.Join(all...)
}

func TestSet(t *testing.T) {
	for name, tt := range map[string]struct {
		settings []setting
		want     []string // lines of the dump that are not in the one without
	}{
		"workers": {[]setting{{"--workers", "app.workers", []string{"4"}}}, []string{
			"app.one.workers = 4", "app.one.min_spare = 4", "app.one.max_spare = 4", "app.one.max_children = 4",
			"app.two.workers = 4", "app.two.min_spare = 4", "app.two.max_spare = 4", "app.two.max_children = 4",
		}},
		"min_spare": {[]setting{{"--min-spare", "app.min_spare", []string{"6"}}}, []string{
			"app.one.min_spare = 6", "app.one.max_spare = 6",
			"app.two.workers = 0", "app.two.min_spare = 6", "app.two.max_spare = 6", "app.two.max_children = 20",
		}},
		"several": {[]setting{{"--workers", "app.workers", []string{"4"}}, {"--max-children", "app.max_children", []string{"010"}}}, []string{
			"app.one.min_spare = 2", "app.one.max_children = 10",
			"app.two.workers = 0", "app.two.min_spare = 2", "app.two.max_spare = 5", "app.two.max_children = 10",
		}},
		"zero": {[]setting{{"-t", "app.request_timeout", []string{"0s"}}, {"-p", "app.preload", []string{"false"}}}, []string{
			"app.one.preload = false", "app.one.request_timeout = 0s", "app.two.preload = false", "app.two.request_timeout = 0s",
		}},
		"env": {[]setting{{"--env", "app.env", []string{"B=x=${HOME}", "C="}}}, []string{
			`app.one.env = map["A":"1" "B":"x=${HOME}" "C":""]`, `app.two.env = map["B":"x=${HOME}" "C":""]`,
		}},
		"server": {[]setting{{"-e", "server.error_log", []string{"run/e"}}, {"-x", "server.max_header", []string{"1KiB"}}}, []string{
			`server.error_log = "DIR/run/e"`, "server.max_header = 1KiB",
		}},
		"site": {[]setting{{"--host", "site.hosts", []string{"C"}}, {"-l", "site.follow_symlinks", []string{"true"}}, {"--listen", "site.access_log", []string{"-"}}}, []string{
			`site[0].hosts = ["c"]`, `site[0].access_log = "-"`, "site[0].follow_symlinks = true",
			`site[1].hosts = ["c"]`, `site[1].access_log = "-"`, "site[1].follow_symlinks = true",
		}},
		"threaded": {[]setting{{"--method", "app.method", []string{"threaded"}}, {"--threads", "app.threads", []string{"7"}}}, []string{
			`app.one.method = "threaded"`, "app.one.threads = 7", `app.two.method = "threaded"`, "app.two.threads = 7",
		}},
		"one process": {[]setting{{"method=", "app.method", []string{"threaded"}}}, []string{
			`app.one.method = "threaded"`, "app.one.threads = 30", `app.two.method = "threaded"`, "app.two.threads = 7",
		}},
		"prefork again": {[]setting{{"method=", "app.method", []string{"threaded"}}, {"complete", "", nil}, {"method=", "app.method", []string{"prefork"}}}, nil},
		"listen": {[]setting{{"umask=", "app.listen.mode", []string{"660"}}, {"allow", "app.listen.allow", []string{"192.0.2.1", "127.0.0.0/8"}}}, []string{
			`app.one.listen[0].mode = "0660"`, `app.one.listen[0].allow = ["192.0.2.1" "127.0.0.0/8"]`,
			`app.one.listen[1].mode = "0660"`, `app.one.listen[1].allow = ["192.0.2.1" "127.0.0.0/8"]`,
		}},
		"upstream": {[]setting{{"-u", "upstream.servers", []string{"a:1", "b:2"}}, {"-t", "upstream.timeout", []string{"1s"}}}, []string{
			`upstream.api.servers[0].address = "a:1"`, `upstream.api.servers[1].address = "b:2"`,
			"upstream.api.servers[1].weight = 1", "upstream.api.servers[1].backup = false", "upstream.api.servers[1].drain = false", "upstream.api.servers[1].max_conns = 0", "upstream.api.timeout = 1s",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := world(t)
			cfg, err := Parse("x.toml", []byte(twoApps), dir)
			if err != nil {
				t.Fatal(err)
			}
			before := dump(cfg, true)
			if err := setAll(cfg, tt.settings); err != nil {
				t.Fatal(err)
			}
			if err := cfg.Complete(dir); err != nil {
				t.Fatal(err)
			}
			var changed []string
			for line := range strings.Lines(dump(cfg, true)) {
				if !strings.Contains(before, line) && !strings.HasPrefix(line, "warning: ") && !strings.HasPrefix(line, "  hint: ") {
					changed = append(changed, strings.ReplaceAll(strings.TrimSpace(line), dir, "DIR"))
				}
			}
			if !reflect.DeepEqual(changed, tt.want) {
				t.Errorf("got:\n%s\nwant:\n%s", strings.Join(changed, "\n"), strings.Join(tt.want, "\n"))
			}
		})
	}
}

// What a flag says wrong is said of the flag, at once or by Complete.
func TestSetInvalid(t *testing.T) {
	for name, tt := range map[string]struct {
		settings []setting
		want     string
	}{
		"type": {[]setting{{"--queue", "app.queue", []string{"many"}}},
			`--queue: queue = "many" in [app.one]: is not a whole number
  hint: it takes a whole number, at least 1
--queue: queue = "many" in [app.two]: is not a whole number
  hint: it takes a whole number, at least 1`},
		"form": {[]setting{{"--listen", "site.listen", []string{":80", "81"}}},
			`--listen: listen = "81" in [[site]]: is a port without its colon
  hint: write ":81", or "127.0.0.1:81" for this machine alone
--listen: listen = "81" in [[site]]: is a port without its colon
  hint: write ":81", or "127.0.0.1:81" for this machine alone`},
		"unit":       {[]setting{{"-h", "server.header_timeout", []string{"5"}}}, "-h: header_timeout = \"5\" in [server]: has no unit\n  hint: it takes a duration with a unit, like \"500ms\", \"30s\", \"5m\" or \"1d\""},
		"truth":      {[]setting{{"-p", "site.follow_symlinks", []string{"yes"}}}, "-p: follow_symlinks = \"yes\" in [[site]]: is not true or false\n  hint: it takes true or false\n-p: follow_symlinks = \"yes\" in [[site]]: is not true or false\n  hint: it takes true or false"},
		"one":        {[]setting{{"-s", "server.spool", []string{"static", "media"}}}, "-s: spool = \"static media\" in [server]: is not one value\n  hint: it takes the path of a folder that exists"},
		"pair":       {[]setting{{"-s", "server.types", []string{".x"}}}, "-s: types = \".x\" in [server]: is not NAME=value\n  hint: it takes a table of extensions and media types: \".foo\" = \"application/x-foo\""},
		"key":        {[]setting{{"-s", "server.spol", []string{"x"}}}, "-s: unknown key \"spol\" in [server]\n  hint: did you mean \"spool\"?"},
		"a table":    {[]setting{{"-s", "server.", nil}}, "-s: unknown key \"\" in [server]\n  hint: the keys are body_timeout, cache, compress_cache, control, error_log, file_cache, group, header_timeout, idle_timeout, max_connections, max_connections_per_client, max_header, min_body_rate, min_write_rate, pidfile, proxy_headers, shutdown_timeout, spool, spool_max, status, trusted_proxies, types, user, write_timeout"},
		"no such":    {[]setting{{"-s", "sever.spool", []string{"x"}}}, "-s: unknown key \"sever.spool\"\n  hint: write server.KEY, site.KEY, app.KEY or upstream.KEY"},
		"element":    {[]setting{{"--host", "site.hosts", []string{"x", "y:1"}}}, "--host: hosts = \"y:1\" in [[site]]: has a port\n  hint: write the name alone; the port belongs in listen\n--host: hosts = \"y:1\" in [[site]]: has a port\n  hint: write the name alone; the port belongs in listen"},
		"as before":  {[]setting{{"--max-spare", "app.max_spare", []string{"5"}}, {"--max", "app.max_children", []string{"4"}}}, "--max-spare: max_spare = 5 in [app.one]: is more than max_children, which is 4\n  hint: min_spare ≤ max_spare ≤ max_children\n--max-spare: max_spare = 5 in [app.two]: is more than max_children, which is 4\n  hint: min_spare ≤ max_spare ≤ max_children"},
		"with file":  {[]setting{{"--max", "app.max_children", []string{"2"}}}, "x.toml:13:1: min_spare = 3 in [app.one]: is more than max_children, which is 2\n  hint: min_spare ≤ max_spare ≤ max_children"},
		"with flags": {[]setting{{"--max", "app.max_children", []string{"2"}}, {"--min", "app.min_spare", []string{"4"}}}, "--min: min_spare = 4 in [app.one]: is more than max_children, which is 2\n  hint: min_spare ≤ max_spare ≤ max_children\n--min: min_spare = 4 in [app.two]: is more than max_children, which is 2\n  hint: min_spare ≤ max_spare ≤ max_children"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := world(t)
			cfg, err := Parse("x.toml", []byte(twoApps), dir)
			if err != nil {
				t.Fatal(err)
			}
			if err = setAll(cfg, tt.settings); err == nil {
				err = cfg.Complete(dir)
			}
			if err == nil || err.Error() != tt.want {
				t.Errorf("got:\n%v\nwant:\n%s", err, tt.want)
			}
			var all Errors
			if !errors.As(err, &all) {
				t.Errorf("%T is not Errors", err)
			}
		})
	}
}

// Relative paths of a file are relative to it, wherever the process is.
func TestLoad(t *testing.T) {
	dir := world(t)
	path := filepath.Join(dir, "project", "millrace.toml")
	text := "[server]\npidfile = \"../run/x.pid\"\n[app.main]\nwsgi = \"hello:app\"\n"
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Chdir(filepath.Join(dir, "log"))
	for _, path := range []string{path, "../project/millrace.toml"} {
		cfg, err := Load(path)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := cfg.Server.PIDFile, filepath.Join(dir, "run/x.pid"); got != want {
			t.Errorf("pidfile is %s, want %s", got, want)
		}
		if got, want := cfg.Apps["main"].Dir, filepath.Join(dir, "project"); got != want {
			t.Errorf("dir is %s, want %s", got, want)
		}
	}
}

func TestLoadUnreadable(t *testing.T) {
	dir := world(t)
	t.Chdir(dir)
	large := strings.Repeat("# a line of a file that is not ours\n", maxText/36+1)
	if err := os.WriteFile("large.toml", []byte(large), 0o644); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"none.toml": "none.toml: cannot read the configuration: no such file or directory\n" +
			"  hint: check the path and the rights of the file",
		"project": "project: cannot read the configuration: is a directory\n" +
			"  hint: check the path and the rights of the file",
		"large.toml": "large.toml:1:1: file is larger than 4 MiB\n" +
			"  hint: a configuration is small; is this the right file?",
	} {
		cfg, err := Load(path)
		if cfg != nil || err == nil || err.Error() != want {
			t.Errorf("got %v:\n%v\nwant:\n%s", cfg, err, want)
		}
	}
}
