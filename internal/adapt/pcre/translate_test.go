package pcre

import (
	"math/rand/v2"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"testing"
)

func TestTranslate(t *testing.T) {
	for _, test := range []struct {
		expr, want, except string
		ways               Ways
	}{
		{`\.php$`, `\.php$`, "", 0},
		// Escapes.
		{`a\_b\é\/`, `a_bé/`, "", 0},
		{`a\Z`, `a\z`, "", 0},
		{`\h[\h\w]`, `[ \t][ \t\w]`, "", 0},
		{`\\/\\h`, `\\/\\h`, "", 0},
		{`\Q\/\E\/`, `\Q\/\E/`, "", 0},
		{`[]\h]\h`, `[] \t][ \t]`, "", 0},
		// What must not match, beside it.
		{`^/(?!api/)`, `^/`, `^/(?:api/)`, Except},
		{`^(?!api)(.*)$`, `^(.*)$`, `^(?:api)`, Except},
		{`^((?!a|b)[a-z]+)$`, `^([a-z]+)$`, `^(?:a|b)`, Except},
		{`^/(?!a(b|\)c))x`, `^/x`, `^/(?:a(b|\)c))`, Except},
		{`^/a\.b/(?!c)`, `^/a\.b/`, `^/a\.b/(?:c)`, Except},
		{`^(?!a)x(?!b).*$`, `^x(?:\z|[^b]).*$`, `^(?:a)`, Except},
		// In one expression.
		{`^/(?!ab).*$`, `^/(?:\z|[^a]|a(?:\z|[^b])).*$`, "", 0},
		{`/(?!a|b).*`, `/(?:\z|[^ab]).*`, "", 0},
		{`^(\.(?!a-).*|b)$|c`, `^(\.(?:\z|[^a]|a(?:\z|[^\-])).*|b)$|c`, "", 0},
		{`^(?!ab).*\.html$`, `^(?:[^a].*|a(?:[^b].*)?)?\.html$`, "", 0},
		{`x(?!ab)`, `x(?:\z|[^a]|a(?:\z|[^b]))`, "", Longer},
		{`[(?!a)]`, `[(?!a)]`, "", 0},
		{`\(?!a`, `\(?!a`, "", 0},
	} {
		p, err := Translate(test.expr, test.ways)
		if err != nil || p.Expr != test.want || p.Except != test.except {
			t.Errorf("%s: %s, not %s, %v; want %s, not %s", test.expr, p.Expr, p.Except, err, test.want, test.except)
		}
	}
}

// What cannot be said exactly is refused.
func TestRefused(t *testing.T) {
	for _, expr := range []string{
		`a(?=b)`, `(?<=a)b`, `(?<!a)b`, `(a)\1`, `a++`, `(?>a)`, `x(?!y)z`, `(`,
		`^(?!a)b|c`,       // c may be behind an a
		`^((?!a)x|ab)`,    // the same in a group
		`^((?!a)b)*`,      // it need not be there
		`^(?!a)?b`,        // nor here
		`((?!ab).)*$`,     // it is at several places
		`(?!ab).*bx`,      // "a" ends what stands for .*, and bx follows
		`((?!ab).*)?c`,    // it need not be there
		`(?!a.c).*`,       // of words alone
		`^(?!a(?!b).*)c$`, // one in another
		`(?m)(?!ab).*$b`,  // "$" is at several places
	} {
		for _, ways := range []Ways{0, Except, Longer, Except | Longer} {
			if p, err := Translate(expr, ways); err == nil {
				t.Errorf("%s is %s, not %s", expr, p.Expr, p.Except)
			}
		}
	}
	for _, expr := range []string{`x(?!y)`, `^(?!a.)`} {
		if p, err := Translate(expr, 0); err == nil {
			t.Errorf("%s is %s, for one who can do no more", expr, p.Expr)
		}
	}
	_, err := Translate(`(a`, 0)
	if bad, ok := err.(*syntax.Error); !ok || bad.Code != syntax.ErrMissingParen {
		t.Errorf("the error is %v", err)
	}
}

// same compares a translation with what PCRE does.
func same(t *testing.T, expr string, texts []string) (carried bool) {
	o, err := newOracle(expr)
	if err != nil {
		return false
	}
	for _, ways := range []Ways{0, Except, Longer, Except | Longer} {
		p, err := Translate(expr, ways)
		if err != nil {
			continue
		}
		carried = true
		if p.Except != "" && ways&Except == 0 {
			t.Fatalf("%s: an exception for one who cannot have it", expr)
		}
		if got, want := Groups(p.Expr), o.tree.MaxCap()-len(o.aheads); got != want {
			t.Fatalf("%s has %d groups, %s %d", expr, want, p.Expr, got)
		}
		re := regexp.MustCompile(p.Expr)
		for _, text := range texts {
			got := re.MatchString(text) && (p.Except == "" || !regexp.MustCompile(p.Except).MatchString(text))
			if want := o.matches(text); got != want {
				t.Fatalf("%s on %q: %v, want %v (%s, not %q)", expr, text, got, want, p.Expr, p.Except)
			}
		}
	}
	return carried
}

// Many expressions match what PCRE would.
func TestLikePCRE(t *testing.T) {
	pieces := []string{"^", "$", "a", "b", "c", "(", ")", "(?:", "|", ".*", "(?!a)", "(?!ab)", "(?!a|bc)", "(?!", "?", "*", "+", "[^a]", `\.`, "."}
	var texts []string
	for i := range 4 * 4 * 4 * 4 * 4 {
		text := ""
		for n := i; n > 0; n /= 4 {
			text += string("abc."[n%4])
		}
		texts = append(texts, text)
	}
	r := rand.New(rand.NewPCG(1, 2))
	tried := 0
	for range 30_000 {
		var b strings.Builder
		for range 2 + r.IntN(8) {
			b.WriteString(pieces[r.IntN(len(pieces))])
		}
		expr := b.String()
		if !strings.Contains(expr, "(?!") {
			continue
		}
		some := make([]string, 30)
		for i := range some {
			some[i] = texts[r.IntN(len(texts))]
		}
		if same(t, expr, some) {
			tried++
		}
	}
	if tried < 300 {
		t.Errorf("only %d expressions were carried over", tried)
	}
}

// Whatever the expression is: what is carried over matches what PCRE would.
func FuzzTranslate(f *testing.F) {
	for _, expr := range []string{`^/(?!ab).*$`, `^(\.(?!a-).*|b)$|c`, `^(?!ab).*c$`, `x(?!a|b)`, `[[:alpha:]](a)`, `\Q(\E(b)`, `^((?!a)b)`} {
		f.Add(expr, "/ab")
		f.Add(expr, ".b")
	}
	f.Fuzz(func(t *testing.T, expr, text string) {
		if len(expr) > 60 || len(text) > 60 {
			return
		}
		re, err := regexp.Compile(expr)
		for _, ways := range []Ways{0, Except | Longer} {
			p, bad := Translate(expr, ways)
			switch {
			case err == nil && (bad != nil || p.Except != ""):
				t.Fatalf("%s is %+v, %v", expr, p, bad)
			case bad != nil:
				continue
			}
			again, bad := Translate(p.Expr, ways)
			if bad != nil || again.Expr != p.Expr {
				t.Errorf("%s is %s, and that is %s, %v", expr, p.Expr, again.Expr, bad)
			}
			if err == nil && !strings.Contains(expr, `\h`) {
				if got, want := regexp.MustCompile(p.Expr).FindStringSubmatch(text), re.FindStringSubmatch(text); !slices.Equal(got, want) {
					t.Errorf("%s on %q: %q, want %q (%s)", expr, text, got, want, p.Expr)
				}
			}
			if named, names := Name(p.Expr, "n"); names != nil && Groups(named) != len(names) {
				t.Errorf("%s has the names %q", named, names)
			}
			if _, bad := regexp.Compile(Union(Alternatives(p.Expr))); bad != nil {
				t.Errorf("the alternatives of %s: %v", p.Expr, bad)
			}
		}
		if strings.Contains(expr, "(?!") && !strings.ContainsAny(expr, "\\[{\n\r") && !strings.Contains(text, "\n") &&
			len(expr) < 30 && !regexp.MustCompile(`\(\?[^!:]`).MatchString(expr) && strings.ToValidUTF8(expr+text, "") == expr+text {
			same(t, expr, []string{text})
		}
	})
}

func TestName(t *testing.T) {
	for _, test := range []struct {
		expr, want string
		names      []string
	}{
		{`^a$`, `^a$`, nil},
		{`(a)(?:b)(c)`, `(?P<n1>a)(?:b)(?P<n2>c)`, []string{"n1", "n2"}},
		{`(?<x>a)(b)`, `(?<x>a)(?P<n2>b)`, []string{"x", "n2"}},
		{`[(]\((a)[]()](b)[^](](c)`, `[(]\((?P<n1>a)[]()](?P<n2>b)[^](](?P<n3>c)`, []string{"n1", "n2", "n3"}},
		{`[[:alpha:](](a)`, `[[:alpha:](](?P<n1>a)`, []string{"n1"}},
		{`[[:](a)`, `[[:](?P<n1>a)`, []string{"n1"}},
		{`(?<n2>a)(b)`, `(?<n2>a)(b)`, nil}, // the name is taken
	} {
		got, names := Name(test.expr, "n")
		if got != test.want || !slices.Equal(names, test.names) {
			t.Errorf("%s: %s %q, want %s %q", test.expr, got, names, test.want, test.names)
		}
	}
}

func TestAlternatives(t *testing.T) {
	if got := Alternatives(`a(b|c)|[|]|\||[]|]d`); !slices.Equal(got, []string{`a(b|c)`, `[|]`, `\|`, `[]|]d`}) {
		t.Errorf("%q", got)
	}
	if got := Union([]string{"(?i)a", "b"}); got != "(?:(?i)a)|b" || !regexp.MustCompile(got).MatchString("A") || regexp.MustCompile(got).MatchString("B") {
		t.Errorf("%s", got)
	}
}
