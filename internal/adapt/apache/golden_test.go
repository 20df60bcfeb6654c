package apache

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"millrace/internal/adapt/document"
)

var update = flag.Bool("update", false, "write what comes out into the golden files")

// file is one file of a case.
type file struct{ name, text string }

// parts reads a case: lines "-- NAME --" begin files, as in txtar. The first is
// what is adapted. In all of them $DIR is the folder that they are in.
func parts(text string) (comment string, files []file) {
	for line := range strings.Lines(text) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "-- "); ok && strings.HasSuffix(name, " --") {
			files = append(files, file{name: strings.TrimSuffix(name, " --")})
			continue
		}
		if len(files) == 0 {
			comment += line
			continue
		}
		files[len(files)-1].text += line
	}
	return comment, files
}

// unpack writes the files of a case, and returns the path of the first.
func unpack(t *testing.T, dir string, files []file) string {
	t.Helper()
	for _, f := range files {
		path := filepath.Join(dir, f.name)
		if strings.HasSuffix(f.name, "/") {
			if err := os.MkdirAll(path, 0o755); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(strings.ReplaceAll(f.text, "$DIR", dir)), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, files[0].name)
}

// Each file of testdata is a configuration with the files around it, and the
// millrace.toml that comes of it, or the errors. What comes of it must be a
// configuration that can be served.
func TestGolden(t *testing.T) {
	cases, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(cases) < 60 {
		t.Fatalf("%d cases, %v", len(cases), err)
	}
	for _, name := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			comment, files := parts(string(text))
			if len(files) == 0 {
				t.Fatal("no files")
			}
			given, want := files, ""
			if last := files[len(files)-1]; last.name == "want" || last.name == "error" {
				given, want = files[:len(files)-1], "-- "+last.name+" --\n"+last.text
			}
			dir := t.TempDir()
			main := unpack(t, dir, given)
			got := adapted(main, dir)
			if got == want {
				return
			}
			if !*update {
				t.Fatalf("got:\n%s\nwant:\n%s", got, want)
			}
			out := comment
			for _, f := range given {
				out += "-- " + f.name + " --\n" + f.text
			}
			if err := os.WriteFile(name, []byte(out+got), 0o644); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// adapted is what comes of a file, without the folder that it is in.
func adapted(main, dir string) string {
	doc, err := Adapt(main, document.Options{Environ: []string{"FROM_ENV=of-env"}})
	var out strings.Builder
	if err == nil {
		cfg, wrong := doc.Config(main)
		if err = wrong; err == nil {
			out.WriteString("-- want --\n")
			out.Write(doc.Bytes())
			for _, w := range cfg.Warnings {
				out.WriteString("# warning: " + w.Error() + "\n")
			}
		}
	}
	if err != nil {
		out.WriteString("-- error --\n" + err.Error() + "\n")
	}
	text := strings.ReplaceAll(out.String(), dir, "$DIR")
	// Where lists are broken into lines goes by the length of the folder's name.
	text = regexp.MustCompile(`,\n *\]`).ReplaceAllString(text, "]")
	text = regexp.MustCompile(`\[\n +`).ReplaceAllString(text, "[")
	return regexp.MustCompile(`,\n +`).ReplaceAllString(text, ", ")
}
