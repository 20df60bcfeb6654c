package lighttpd

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"millrace/internal/adapt/document"
	"millrace/internal/config"
)

// FuzzAdapt: whatever a file holds, there is an end, and what comes out is read back,
// or is an error with its place.
func FuzzAdapt(f *testing.F) {
	cases, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(cases) == 0 {
		f.Fatalf("there are no seeds (%v)", err)
	}
	for _, path := range cases {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		a := parseArchive(string(text))
		f.Add(a.files["lighttpd.conf"])
	}
	root := f.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "www"), 0o755); err != nil {
		f.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "part.conf"), []byte("server.port += 1\n"), 0o600); err != nil {
		f.Fatal(err)
	}
	main := filepath.Join(root, "lighttpd.conf")
	f.Fuzz(func(t *testing.T, text string) {
		t.Chdir(root)
		text = strings.ReplaceAll(text, "DIR", root)
		if err := os.WriteFile(main, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		d, err := Adapt(main, document.Options{Environ: []string{"HOME=" + root}})
		var list config.Errors
		switch {
		case err != nil && (!errors.As(err, &list) || len(list) == 0):
			t.Fatalf("%v is no list of problems", err)
		case err != nil:
			for _, e := range list {
				if e.File == "" || e.Problem == "" || strings.Contains(e.Error(), "\x00") {
					t.Errorf("%q has no place, or no text", e)
				}
			}
			return
		}
		if _, err := d.Config(main); err != nil {
			if strings.Contains(err.Error(), "not TOML") || strings.Contains(err.Error(), "unknown key") {
				t.Fatalf("%v\n%s", err, d.Bytes())
			}
		}
	})
}
