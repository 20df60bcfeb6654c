package adapt

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestSplitInterpreter(t *testing.T) {
	tests := []struct{ args, want []string }{
		{[]string{"runfcgi settings=x  dir=y\t", "/s.fcgi"}, []string{"runfcgi", "settings=x", "dir=y", "/s.fcgi"}},
		{[]string{"runfcgi\r", "/s.fcgi"}, []string{"runfcgi", "/s.fcgi"}}, // a script with DOS line ends
		{[]string{"runfcgi", "errlog=/my logs/e"}, []string{"runfcgi", "errlog=/my logs/e"}},
		{[]string{"runfcgix y"}, []string{"runfcgix y"}},
		{[]string{"serve", "runfcgi x"}, []string{"serve", "runfcgi x"}},
		{nil, nil},
	}
	for _, test := range tests {
		if got := SplitInterpreter(test.args); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%q: %q; want %q", test.args, got, test.want)
		}
	}
}

// writeScript writes a script in a folder whose name holds a blank.
func writeScript(t *testing.T, text string) (path, dir string) {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	dir = filepath.Join(dir, "my site")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(dir, "mysite.fcgi")
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return path, dir
}

func TestScript(t *testing.T) {
	const lines = "#!/usr/local/bin/millrace runfcgi minspare=1\r\n" +
		"\n# settings=no\n  # indented\n" +
		"Settings = mysite.settings\n" +
		"errlog=log/my errors = all.log\n" +
		"  --pythonpath=lib\n" +
		"debug\n" +
		"dir = ../my site/project"
	path, dir := writeScript(t, lines)
	other := filepath.Join(t.TempDir(), "link.fcgi")
	if err := os.Symlink(path, other); err != nil {
		t.Fatal(err)
	}
	want := Runfcgi{
		Protocol: "fastcgi", Umask: -1, MinSpare: 1, Settings: "mysite.settings", Debug: true, Script: path,
		ErrLog: dir + "/log/my errors = all.log", PythonPath: []string{dir + "/lib"}, Dir: dir + "/project",
	}
	for name, args := range map[string][]string{
		"by the system": {"minspare=1", path},
		"by hand":       {path},
		"by a link":     {"minspare=1", other},
	} {
		if got := exported(parse(t, args...)); !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n got %+v\nwant %+v", name, got, want)
		}
	}

	// The folder of a script that says nothing else is where the app is.
	path, dir = writeScript(t, "#!/usr/bin/env -S millrace runfcgi\n")
	if got := parse(t, path); got.Dir != dir || got.Address != "" || got.Daemonize {
		t.Errorf("%+v", got)
	}
	// Relative paths of the first line are the script's; those behind it are
	// relative to the current folder, and go before.
	path, dir = writeScript(t, "#!/m runfcgi socket=x.sock\nminspare=3\n")
	if got := parse(t, "socket=x.sock", path, "minspare=2", "pidfile=p"); got.Address != "unix:"+dir+"/x.sock" || got.MinSpare != 2 || got.PIDFile != "/here/p" {
		t.Errorf("%+v", got)
	}
}

// TestQueryIsNoOption: a web server hands the words of a query without "="
// to a CGI program as arguments, decoded: they come from anybody.
func TestQueryIsNoOption(t *testing.T) {
	path, _ := writeScript(t, "#!/m runfcgi\nminspare=3\n")
	args := []string{path, "socket=/tmp/evil", "--app=os:system", "help", "-x"}
	r, err := ParseRunfcgi(args, RunfcgiOptions{Dir: "/here", CGI: true})
	if err != nil || r.Address != "" || r.App != "" || r.Help || r.MinSpare != 3 {
		t.Errorf("%v %+v", err, r)
	}
	if r, err := ParseRunfcgi(args[:3], RunfcgiOptions{Dir: "/here"}); err != nil || r.App != "os:system" {
		t.Errorf("by hand: %v %+v", err, r)
	}
}

func TestWrongScripts(t *testing.T) {
	tests := []struct{ text, problem, fix string }{
		{"", `its first line has to begin with "#!"`, "app="},
		{"import os\n", `its first line has to begin with "#!"`, "app="},
		{"#!/m runfcgi\nimport os, sys\n", `mysite.fcgi:2: "import os, sys" is neither KEY=VALUE`, "help"},
		{"#!/m runfcgi\n\nminspar=2\n", `mysite.fcgi:3: unknown option "minspar"`, "minspare"},
		{"#!/m runfcgi minspare=x\n", `mysite.fcgi:1: minspare="x" can't be: it takes`, ""},
		{"#!/m runfcgi minspare=1\nminspare=2\n", `minspare is given twice`, ""},
		{"#!/m runfcgi\nminspare=2 maxspare=3\n", `mysite.fcgi:2: minspare="2 maxspare=3" can't be`, ""},
		{"#!/m runfcgi\nerrlog=/x\x00y\n", `mysite.fcgi:2: has control characters`, ""},
		{"#!/m runfcgi\nhost=127.0.0.1\n", `mysite.fcgi:2: host="127.0.0.1" is only half an address`, ""},
		{"#!" + strings.Repeat("x", maxScript), `is no script of millrace`, ""},
	}
	for _, test := range tests {
		path, _ := writeScript(t, test.text)
		_, err := ParseRunfcgi([]string{path}, RunfcgiOptions{Dir: "/here"})
		checkError(t, test.text, err, test.problem, test.fix)
	}
}

// FuzzScript: whatever a script holds, it is options or an *ArgumentError.
func FuzzScript(f *testing.F) {
	f.Add("#!/m runfcgi minspare=1\nmaxspare = 3\n# x\n")
	f.Add("#!/m runfcgi -s\n--host\n")
	f.Add("#!\n=\n==\n-")
	f.Fuzz(func(t *testing.T, text string) {
		path, _ := writeScript(t, text)
		r, err := ParseRunfcgi([]string{path}, RunfcgiOptions{Dir: "/here"})
		if err != nil {
			if e, ok := err.(*ArgumentError); !ok || e.Fix == "" || strings.Contains(e.Error(), "\n") {
				t.Fatalf("%#v", err)
			}
			return
		}
		if !filepath.IsAbs(r.Dir) || r.Daemonize && r.Address == "" {
			t.Fatalf("%+v", r)
		}
	})
}
