package apache

import (
	"os"
	"path/filepath"
	"testing"

	"millrace/internal/adapt/document"
	"millrace/internal/config"
)

// Whatever the file is: no panic, an end, and either errors with places or a text
// that is TOML that config knows all keys of.
func FuzzAdapt(f *testing.F) {
	cases, _ := filepath.Glob("testdata/*.txt")
	for _, name := range cases {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		if _, files := parts(string(text)); len(files) > 0 {
			f.Add(files[0].text)
		}
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text string) {
		path := filepath.Join(dir, "fuzz.conf")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		doc, err := Adapt(path, document.Options{Environ: []string{}})
		if err == nil {
			_, _ = doc.Config(path) // folders are missing: errors of its own are right
			return
		}
		list, ok := err.(config.Errors)
		if !ok || len(list) == 0 {
			t.Fatalf("an error of type %T", err)
		}
		for _, e := range list {
			if e.File == "" || e.Problem == "" {
				t.Errorf("an error without place or words: %+v", e)
			}
		}
	})
}
