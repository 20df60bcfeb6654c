package server

import (
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"millrace/internal/config"
	"millrace/internal/supervise"
)

// env is an app's environment as a map.
func env(t *testing.T, a config.App, base []string, u *supervise.User) (map[string]string, error) {
	t.Helper()
	all, err := (&Plan{Config: appWith(a, config.Server{}), Environ: base}).environ("blog", u)
	if err == nil && !slices.IsSorted(all) {
		t.Errorf("not sorted: %q", all)
	}
	vars := map[string]string{}
	for _, v := range all {
		name, value, _ := strings.Cut(v, "=")
		vars[name] = value
	}
	return vars, err
}

func TestEnvironmentOfAUser(t *testing.T) {
	base := []string{"HOME=/root", "USER=root", "LOGNAME=root", "MAIL=/var/mail/root", "XDG_RUNTIME_DIR=/run/user/0", "LANG=C"}
	got, err := env(t, config.App{Env: map[string]string{"USER": "own"}}, base, &supervise.User{UID: 61001, Name: "blog", Home: "/srv/blog"})
	if want := map[string]string{"HOME": "/srv/blog", "USER": "own", "LOGNAME": "blog", "LANG": "C"}; err != nil || !maps.Equal(got, want) {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
	got, err = env(t, config.App{}, base, &supervise.User{UID: 61001})
	if want := map[string]string{"HOME": "/", "LANG": "C"}; err != nil || !maps.Equal(got, want) {
		t.Errorf("of a number without a name: got %q, %v; want %q", got, err, want)
	}
	if got, err = env(t, config.App{}, base, nil); err != nil || len(got) != len(base) {
		t.Errorf("of ourselves: %q, %v", got, err)
	}
}

func TestEnvironmentFromFiles(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/one.env", "A=one\nB=one\nC=one\nD=one\n")
	write(t, dir+"/two", "B=two\nC=two\nD=two\n")
	write(t, dir+"/key", "s3cret\n\n")
	write(t, dir+"/empty", "")
	a := config.App{
		EnvFile: config.Strings{dir + "/one.env", "credential:two"},
		Secrets: map[string]string{"C": dir + "/key", "D": "credential:key", "E": dir + "/empty"},
		Env:     map[string]string{"D": "env"},
	}
	got, err := env(t, a, []string{"A=base", "CREDENTIALS_DIRECTORY=" + dir}, nil)
	want := map[string]string{"A": "one", "B": "two", "C": "s3cret\n", "D": "env", "E": "", "CREDENTIALS_DIRECTORY": dir}
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
}

func TestEnvironmentRefused(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/bad.env", "A=1\n\nB hunter2\n")
	write(t, dir+"/nul", "hunter2\x00")
	write(t, dir+"/large", strings.Repeat("hunter2\n", maxEnvFile/8+1))
	if err := syscall.Mkfifo(dir+"/pipe", 0o600); err != nil && runtime.GOOS == "linux" {
		t.Fatal(err)
	}
	for _, test := range []struct {
		app     config.App
		problem string
	}{
		{config.App{EnvFile: config.Strings{dir + "/bad.env"}}, dir + `/bad.env:3:1: there is no "="`},
		{config.App{EnvFile: config.Strings{dir + "/nul"}}, dir + "/nul:1:8: holds a NUL byte"},
		{config.App{EnvFile: config.Strings{dir + "/none.env"}}, "env_file = " + dir + "/none.env\" in [app.blog]: no such file or directory"},
		{config.App{EnvFile: config.Strings{dir}}, "env_file = " + dir + "\" in [app.blog]: it is no file"},
		{config.App{EnvFile: config.Strings{dir + "/pipe"}}, "env_file = " + dir + "/pipe\" in [app.blog]: it is no file"},
		{config.App{EnvFile: config.Strings{dir + "/large"}}, "env_file = " + dir + "/large\" in [app.blog]: it is larger than 1048576 bytes"},
		{config.App{EnvFile: config.Strings{"credential:key"}}, "env_file = \"credential:key\" in [app.blog]: there is no CREDENTIALS_DIRECTORY"},
		{config.App{Secrets: map[string]string{"KEY": dir + "/nul"}}, "secrets: KEY = " + dir + "/nul\" in [app.blog]: it holds a NUL byte"},
		{config.App{Secrets: map[string]string{"KEY": dir + "/none"}}, "secrets: KEY = " + dir + "/none\" in [app.blog]: no such file or directory"},
	} {
		_, err := env(t, test.app, nil, nil)
		if err == nil || !strings.HasPrefix(strings.ReplaceAll(err.Error(), `"`+dir, dir), test.problem) || strings.Contains(err.Error(), "hunter2") || err.(*Error).Hint() == "" {
			t.Errorf("got %v, want %s", err, test.problem)
		}
	}
}

func TestParseEnvFile(t *testing.T) {
	for _, test := range []struct{ text, want string }{ // want: NAME=value with a bar between, or an error
		{"", ""},
		{"\n  \n# A=1\n; B=2\n", ""},
		{"A=1", "A=1"},
		{"A=1\r\nB=2\r\n", "A=1|B=2"},
		{"  A = 1 2 \t\nB=", "A=1 2|B="},
		{"A=1\nA=2\n", "A=2"},
		{"A=x # no comment", "A=x # no comment"},
		{"A=it's \"so\"", "A=it's \"so\""},
		{`A=a\ b\\c\` + "\nd", `A=a b\cd`},
		{`A=end\ `, `A=end `},
		{`A='x "y" \z $H'`, `A=x "y" \z $H`},
		{`A="x 'y' \"\\\$\` + "`" + ` \z $H"`, `A=x 'y' "\$` + "`" + ` \z $H`},
		{"A=\"one\ntwo\"\nB=3", "A=one\ntwo|B=3"},
		{"A='one\\\ntwo'\n", "A=one\\\ntwo"},
		{"A=\"one\\\ntwo\" \n", "A=onetwo"},
		{`A='a'"b" `, "A=ab"},
		{"# goes on \\\nA=1\nB=2", "B=2"},
		{"_a1=x", "_a1=x"},
		{"URL=postgres://u:p=w@h/d?x=1", "URL=postgres://u:p=w@h/d?x=1"},
		{"A=\xff\xfe", "A=\xff\xfe"},

		{"A=1\nnothing\n", `:2:1: there is no "="`},
		{"export A=1", `:1:1: "export" belongs to a shell: leave it out`},
		{"1A=1", `:1:1: what stands before "=" is not the name of a variable`},
		{"A-B=1", `:1:1: what stands before "=" is not the name of a variable`},
		{"=1", `:1:1: what stands before "=" is not the name of a variable`},
		{"A=1\n  B='x\ny", ":2:5: the quote is not closed"},
		{`A="x\`, ":1:3: the quote is not closed"},
		{`A="x" # comment`, ":1:7: something follows the closing quote"},
		{`A="x"y`, ":1:6: something follows the closing quote"},
		{"A=1\nB=\x00", ":2:3: holds a NUL byte"},
	} {
		vars := map[string]string{}
		err := parseEnvFile([]byte(test.text), vars)
		var all []string
		for _, name := range slices.Sorted(maps.Keys(vars)) {
			all = append(all, name+"="+vars[name])
		}
		got := strings.Join(all, "|")
		if err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%q: got %q, want %q", test.text, got, test.want)
		}
	}
}

// Whatever a file holds, it is either refused with a place in it, or each of
// its variables can be written so that it is read back as it is.
func FuzzEnvFile(f *testing.F) {
	for _, text := range []string{"A=1\nB='x'\n", "A=\"x\\\ny\\\"\" \n# c\\\n;\n", "A=x\\ \\\ny", "A", "export A=\"", "A='a'\"b\"c"} {
		f.Add([]byte(text))
	}
	quote := strings.NewReplacer(`"`, `\"`, `\`, `\\`, "`", "\\`", "$", `\$`)
	f.Fuzz(func(t *testing.T, text []byte) {
		vars := map[string]string{}
		if err := parseEnvFile(text, vars); err != nil {
			if !strings.HasPrefix(err.Error(), ":") {
				t.Fatalf("%v has no place", err)
			}
			return
		}
		var again strings.Builder
		for name, value := range vars {
			again.WriteString(name + "=\"" + quote.Replace(value) + "\"\n")
		}
		back := map[string]string{}
		if err := parseEnvFile([]byte(again.String()), back); err != nil || !maps.Equal(vars, back) {
			t.Fatalf("%q: %q is read back as %q, %v", text, vars, back, err)
		}
	})
}

// A file is read anew each time, and its value never shows in what the plan
// says of itself.
func TestEnvironmentIsReadAnew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	a := config.App{Secrets: map[string]string{"KEY": path}}
	for _, value := range []string{"first", "second"} {
		if err := os.WriteFile(path, []byte(value+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := env(t, a, nil, nil); err != nil || got["KEY"] != value {
			t.Errorf("got %q, %v; want %s", got, err, value)
		}
	}
}
