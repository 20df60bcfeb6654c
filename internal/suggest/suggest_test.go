package suggest

import (
	"strings"
	"testing"
)

func TestNearest(t *testing.T) {
	names := []string{"min_spare", "max_spare", "wsgi", "env", "dir"}
	for name, want := range map[string]string{
		"min_spares": "min_spare", "minspare": "min_spare", "max_sapre": "max_spare",
		"wsig": "wsgi", "evn": "env", "direct": "", "": "", "xyz": "", "command": "", "ENV": "",
		strings.Repeat("wsgi", 20): "",
	} {
		if got := Nearest(name, names); got != want {
			t.Errorf("%q is near %q, want %q", name, got, want)
		}
	}
}

func TestDistance(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "ab", 2}, {"ab", "ba", 1}, {"kitten", "sitting", 3}, {"abc", "acb", 1}, {"abcd", "abcd", 0}} {
		if got, back := distance(tt.a, tt.b), distance(tt.b, tt.a); got != tt.want || back != tt.want {
			t.Errorf("%q and %q differ by %d and %d, want %d", tt.a, tt.b, got, back, tt.want)
		}
	}
}
