package config

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// Every piece of TOML in the page on balancing can be served: a whole one as it
// is, others in a group.
func TestBalancingPage(t *testing.T) {
	dir := world(t)
	t.Setenv("STICKY_SECRET", "0123456789abcdef0123456789abcdef")
	text, err := os.ReadFile("../../docs/balancing.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```toml\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	if len(blocks) < 2 {
		t.Fatal("there is less TOML in the page than there was")
	}
	const group = "[[site]]\n[[site.route]]\nupstream = \"api\"\n[upstream.api]\nprotocol = \"http\"\nservers = [\"127.0.0.1:9\"]\n"
	for _, block := range blocks {
		piece := block[1]
		if !strings.Contains(piece, "[[site]]") {
			piece = group + piece
		}
		cfg, err := Parse("balancing.md", []byte(piece), dir)
		if err != nil {
			t.Errorf("%v in\n%s", err, piece)
			continue
		}
		for _, w := range cfg.Warnings {
			t.Errorf("%v in\n%s", w, piece)
		}
	}
}
