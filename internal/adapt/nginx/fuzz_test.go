package nginx

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"millrace/internal/adapt/document"
	"millrace/internal/config"
)

// FuzzAdapt holds that whatever the file is, reading it ends, and either says what
// is wrong, with places within it, or makes a text that TOML can read.
func FuzzAdapt(f *testing.F) {
	files, err := filepath.Glob("testdata/*.conf")
	if err != nil || len(files) == 0 {
		f.Fatal("no seeds")
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		input, _, _ := strings.Cut(string(text), "\n== ")
		input, _, _ = strings.Cut(input, "\n-- ")
		f.Add(strings.ReplaceAll(input, "@/", "/srv/"))
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 64<<10 {
			return
		}
		path := filepath.Join(dir, "site.conf")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		doc, err := Adapt(path, document.Options{})
		if took := time.Since(start); took > 10*time.Second {
			t.Fatalf("it took %v", took)
		}
		if err != nil {
			all, is := err.(config.Errors)
			if !is || len(all) == 0 {
				t.Fatalf("an error of type %T", err)
			}
			for _, e := range all {
				if e.Problem == "" || e.Line < 0 {
					t.Errorf("%+v says nothing", e)
				}
			}
			return
		}
		if _, err := doc.Config(path); err != nil {
			for _, e := range err.(config.Errors) {
				if strings.Contains(e.Problem, "TOML") || strings.Contains(e.Problem, "invalid character") {
					t.Errorf("%v\n%s", e, doc.Bytes())
				}
			}
		}
	})
}
