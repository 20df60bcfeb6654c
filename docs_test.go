package millrace_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestLinks: what a page of the documentation leads to within the tree is there.
func TestLinks(t *testing.T) {
	pages, err := filepath.Glob("docs/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatalf("%d pages under docs, %v", len(pages), err)
	}
	below, err := filepath.Glob("docs/*/*.md")
	if err != nil {
		t.Fatal(err)
	}
	link := regexp.MustCompile(`\[[^\]\n]+\]\(([^)\s]+)\)`)
	code := regexp.MustCompile("(?ms)^```.*?^```$|^    .*?$|`[^`\n]*`")
	for _, page := range append(append(pages, below...), "README.md", "HACKING.md", "NEWS.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range link.FindAllSubmatch(code.ReplaceAll(text, nil), -1) {
			target, _, _ := strings.Cut(string(found[1]), "#")
			if target == "" || strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), target)); err != nil {
				t.Errorf("%s leads to %s: %v", page, found[1], err)
			}
		}
	}
}

// TestPagesAreFound: README or HACKING leads to each page; nobody reads what he has to
// look for in a folder.
func TestPagesAreFound(t *testing.T) {
	var entries strings.Builder
	for _, page := range []string{"README.md", "HACKING.md"} {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		entries.Write(text)
	}
	pages, err := filepath.Glob("docs/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatalf("%d pages under docs, %v", len(pages), err)
	}
	for _, page := range pages {
		if !strings.Contains(entries.String(), page) {
			t.Errorf("neither README.md nor HACKING.md leads to %s", page)
		}
	}
}
