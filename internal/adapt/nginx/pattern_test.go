package nginx

import (
	"net/netip"
	"regexp"
	"testing"
)

// Look-ahead that is carried over matches what PCRE matches.
func TestLookAhead(t *testing.T) {
	for expr, tests := range map[string]map[string]bool{
		`/\.(?!well-known).*`:     {"/.git": true, "/.well-known/x": false, "/.well-know": true, "/a/.well-known": false, "/.w": true, "/.": true, "/x": false, "/.wellknown": true},
		`^(\.(?!well-known).*)$`:  {".x": true, ".well-known": false, "a.x": false},
		`^/(?!api/|static/)(.*)$`: {"/x": true, "/api/x": false, "/api": true, "/static/": false},
		`^/(?!a|ab)`:              {"/a": false, "/abc": false, "/b": true, "/": true},
		`\.(?!js|css)`:            {"x.js": false, "x.j": true, "x.css.map": true, "x": false},
	} {
		p, bad := newPattern(expr, false)
		if bad != nil {
			t.Errorf("%s: %s", expr, bad.problem)
			continue
		}
		for text, want := range tests {
			got := regexp.MustCompile(p.expr).MatchString(text) && (p.except == "" || !regexp.MustCompile(p.except).MatchString(text))
			if got != want {
				t.Errorf("%s on %q: %v, want %v (%s, not %q)", expr, text, got, want, p.expr, p.except)
			}
		}
	}
	for _, expr := range []string{`a(?=b)`, `(?<!a)b`, `x(?!y)z`, `(a)\1`} {
		if _, bad := newPattern(expr, false); bad == nil {
			t.Errorf("%s is carried over", expr)
		}
	}
}

// What is said several times in different words is one set of addresses.
func TestWithout(t *testing.T) {
	p := func(s string) (out []string) {
		a, err := network(s)
		if err != nil {
			t.Fatal(err)
		}
		cut, _ := network("10.0.0.5")
		for _, one := range without([]netip.Prefix{a}, cut) {
			out = append(out, netText(one))
		}
		return out
	}
	if got := p("10.0.0.4/30"); len(got) != 2 || got[0] != "10.0.0.6/31" || got[1] != "10.0.0.4" {
		t.Errorf("%v", got)
	}
	if got := p("10.0.0.5"); len(got) != 0 {
		t.Errorf("%v", got)
	}
	if got := p("10.1.0.0/16"); len(got) != 1 {
		t.Errorf("%v", got)
	}
}
