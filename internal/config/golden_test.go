package config

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files and the reference anew")

// world makes the folder that the files of testdata describe, and the
// environment that they read.
func world(t testing.TB) (dir string) {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{"bin", "log", "media", "project", "public_html", "run", "spool", "static", "venv/bin"} {
		if err := os.MkdirAll(filepath.Join(dir, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, mode := range map[string]os.FileMode{
		"bin/python3": 0o755, "venv/bin/python3": 0o755, "project/manage.py": 0o644, "static/plain.txt": 0o644,
		"secrets.env": 0o600, "htpasswd": 0o600, "one.env": 0o600, "run/key": 0o600,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	writePEMs(t, dir)
	if err := os.Symlink("/", filepath.Join(dir, "slash")); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"MODULE": "hello", "FOLDER": "project", "EMPTY": "", "RECURSIVE": "${MODULE}", "SECONDS_": "7", "HOST_NAME": "Mine", "AJP_SECRET": "sesame",
	} {
		t.Setenv(name, text)
	}
	t.Setenv("NO_SUCH", "") // so that it comes back as it was
	if err := os.Unsetenv("NO_SUCH"); err != nil {
		t.Fatal(err)
	}
	return dir
}

// dump is every field of a Config by its path, in the order of the key table.
// Without zeros a new key changes no file that does not use it.
func dump(cfg *Config, zeros bool) string {
	var b strings.Builder
	for _, w := range cfg.Warnings {
		fmt.Fprintln(&b, "warning:", w)
	}
	var table func(s *section, path string, target reflect.Value)
	table = func(s *section, path string, target reflect.Value) {
		for _, k := range s.keys {
			field, at := target.FieldByName(k.field), join(path, k.name)
			switch {
			case k.within == nil && field.IsZero() && !zeros:
			case k.within == nil:
				if field.Kind() == reflect.Pointer && !field.IsNil() {
					field = field.Elem()
				}
				switch v := field.Interface().(type) {
				case string, []string, Strings, map[string]string:
					fmt.Fprintf(&b, "%s = %q\n", at, v)
				default:
					fmt.Fprintf(&b, "%s = %v\n", at, v)
				}
			case field.Kind() == reflect.Slice:
				for i := range field.Len() {
					table(k.within, element(at, i), field.Index(i))
				}
			case field.Kind() == reflect.Map:
				for _, name := range familyNames(field) {
					table(k.within, join(at, name), field.MapIndex(reflect.ValueOf(name)).Elem())
				}
			case field.Kind() == reflect.Pointer:
				if !field.IsNil() {
					table(k.within, at, field.Elem())
				}
			default:
				table(k.within, at, field)
			}
		}
	}
	table(fileSection, "", reflect.ValueOf(cfg).Elem())
	return b.String()
}

// files is what a pattern matches, which is something.
func files(t *testing.T, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil || len(names) == 0 {
		t.Fatalf("%s matches nothing (%v)", pattern, err)
	}
	return names
}

// golden compares what a file of testdata gives with the file beside it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s is not what it was; got:\n%s\nwant:\n%s", name, got, want)
	}
}

func TestValid(t *testing.T) {
	for _, name := range files(t, "testdata/valid/*.toml") {
		t.Run(filepath.Base(name), func(t *testing.T) {
			dir := world(t)
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			cfg, err := Parse(filepath.Base(name), text, dir)
			if err != nil {
				t.Fatal(err)
			}
			got := dump(cfg, false)
			golden(t, strings.TrimSuffix(name, ".toml")+".golden", strings.ReplaceAll(got, dir, "DIR"))
			if err := cfg.Complete(dir); err != nil {
				t.Fatalf("complete, it can't be completed again: %v", err)
			}
			if again := dump(cfg, false); again != got {
				t.Errorf("completed again it is another:\n%s\nbefore:\n%s", again, got)
			}
		})
	}
}

func TestInvalid(t *testing.T) {
	for _, name := range files(t, "testdata/invalid/*.toml") {
		t.Run(filepath.Base(name), func(t *testing.T) {
			dir := world(t)
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			cfg, err := Parse(filepath.Base(name), text, dir)
			var all Errors
			if cfg != nil || !errors.As(err, &all) {
				t.Fatalf("got %v, %v; want Errors", cfg, err)
			}
			golden(t, strings.TrimSuffix(name, ".toml")+".err", strings.ReplaceAll(err.Error(), dir, "DIR")+"\n")
			checkPlaces(t, filepath.Base(name), text, all)
		})
	}
}

// checkPlaces checks that each problem is in the text.
func checkPlaces(t *testing.T, name string, text []byte, all Errors) {
	t.Helper()
	if len(all) == 0 {
		t.Fatal("no problem among the errors")
	}
	lines := strings.Split(string(text), "\n")
	for _, e := range all {
		if e.File != name || e.Problem == "" || e.Line < 1 || e.Column < 1 ||
			e.Line > len(lines) || e.Column > len(lines[e.Line-1])+1 {
			t.Errorf("%#v is nowhere in the file", e)
		}
		if strings.Count(e.Error(), "\n") > 1 {
			t.Errorf("%q is more than a problem and a hint", e.Error())
		}
	}
}

// Without -fuzzminimizetime=20x the engine spends its time on making inputs
// smaller.
func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/valid/*.toml", "testdata/invalid/*.toml"} {
		names, err := filepath.Glob(pattern)
		if err != nil || len(names) == 0 {
			f.Fatalf("%s matches nothing (%v)", pattern, err)
		}
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(text)
		}
	}
	dir := world(f)
	f.Fuzz(func(t *testing.T, text []byte) {
		cfg, err := Parse("fuzz.toml", text, dir)
		if err != nil {
			var all Errors
			if !errors.As(err, &all) {
				t.Fatalf("%T is not Errors: %v", err, err)
			}
			checkPlaces(t, "fuzz.toml", text, all)
			return
		}
		before := dump(cfg, false)
		if err := cfg.Complete(dir); err != nil {
			t.Fatalf("complete, it can't be completed again: %v", err)
		}
		if after := dump(cfg, false); after != before {
			t.Fatalf("completed again it is another:\n%s\nbefore:\n%s", after, before)
		}
	})
}
