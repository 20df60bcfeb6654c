package placeholder

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// scope is what the tests' texts may name.
func scope(t testing.TB) Scope {
	t.Helper()
	s := Scope{Groups: 2, Whole: true, Names: []string{"lang"}, Getenv: func(name string) (string, bool) {
		v, ok := map[string]string{"HOME": "/home/x", "EMPTY": "", "BRACE": "{path}"}[name]
		return v, ok
	}}
	from, err := Parse("{host}", s)
	if err != nil {
		t.Fatal(err)
	}
	m, err := NewMap(from, []Entry{{"a.example.com", Fixed("one")}, {"~^b", Fixed("two")}, {"~.", Fixed("three")}}, Fixed("none"))
	if err != nil {
		t.Fatal(err)
	}
	s.Maps = map[string]*Map{"site": m}
	return s
}

// asked is a request with everything in it.
func asked() *http.Request {
	r := httptest.NewRequest("GET", "/a%20b/c?x=1+2&y=%26&x=3", nil)
	r.RequestURI = "http://a.example.com/sent%20so?y"
	r.Host, r.RemoteAddr = "A.example.com:8080", "192.0.2.1:1234"
	r.Header = http.Header{"Accept": {"a", "b"}, "X-Evil": {"a\r\nSet-Cookie: b"}, "Cookie": {"id=7; other=8"}, "X-Request-Id": {"q1"}}
	r, f := Keep(r)
	f.Groups, f.User = []string{"/a b/c", "a b", "c&d?"}, "ann"
	f.Name("lang", "en")
	f.Name("lang", "de")
	return r
}

func TestAppend(t *testing.T) {
	tests := []struct{ text, want string }{
		{"", ""},
		{"plain", "plain"},
		{"{path}", "/a b/c"},
		{"{uri}", "/a%20b/c?x=1+2&y=%26&x=3"},
		{"{query}", "x=1+2&y=%26&x=3"},
		{"{normal_query}", "x=1+2&y=%26&x=3"},
		{"<{query.x}|{query.y}|{query.z}>", "<1 2|&|>"},
		{"{header.accept}", "a, b"},
		{"{header.Host}", "A.example.com:8080"},
		{"{header.Missing}", ""},
		{"{cookie.id}{cookie.other}{cookie.none}", "78"},
		{"{scheme}://{host}:{port}", "http://a.example.com:8080"},
		{"{method} {client} {user} {request_id}", "GET 192.0.2.1 ann q1"},
		{"{0}|{1}|{2}", "/a b/c|a b|c&d?"},
		{"{lang}", "de"},
		{"{request_uri}", "/sent%20so?y"},
		{"{env.HOME}/{env.EMPTY}x{env.BRACE}", "/home/x/x{path}"},
		{"{map.site}", "one"},
		{"{{path}", "{path}"},
		{"{{{path}}", "{/a b/c}"},
		{"}", "}"},
		{`{{"a": 1}`, `{"a": 1}`},
	}
	for _, test := range tests {
		text, err := Parse(test.text, scope(t))
		if err != nil {
			t.Errorf("%s: %v", test.text, err)
			continue
		}
		r := asked()
		if got := string(text.Append([]byte("> "), r)); got != "> "+test.want {
			t.Errorf("%s: %q, want %q", test.text, got, test.want)
		}
		if got := text.Expand(r); got != test.want {
			t.Errorf("%s: Expand says %q", test.text, got)
		}
	}
}

// What is compared is the same however a client spells it.
func TestNormal(t *testing.T) {
	for _, test := range []struct{ sent, uri, query string }{
		{"/a?b=c", "/a?b=c", "b=c"},
		{"/%61%2f%7E?%62=%2f%3c", "/a/~?b=%2F%3C", "b=%2F%3C"},
		{"/%c3%a9%3f?x=<\"|%zz%2520", "/%C3%A9%3F?x=%3C%22%7C%25zz%2520", "x=%3C%22%7C%25zz%2520"},
		{"/a?", "/a?", ""},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		u, err := url.ParseRequestURI(test.sent)
		if err != nil {
			t.Fatal(err)
		}
		r.URL = u
		text, err := Parse("{normal_query}", Scope{})
		if err != nil {
			t.Fatal(err)
		}
		if got := URI(r); got != test.uri {
			t.Errorf("%s: the URI is %q, want %q", test.sent, got, test.uri)
		}
		if got := text.Expand(r); got != test.query {
			t.Errorf("%s: the query is %q, want %q", test.sent, got, test.query)
		}
	}
}

// A request of which nothing was found out, and that says nothing, has empty
// values.
func TestAppendNothing(t *testing.T) {
	r := httptest.NewRequest("GET", "/", nil)
	r.Host, r.RemoteAddr = "", "@"
	for text, want := range map[string]string{
		"{0}{1}{2}{lang}{user}{client}{host}{query}{query.x}{cookie.x}{request_id}": "",
		"{map.site}": "none", "{port}": "80", "{uri}": "/",
	} {
		parsed, err := Parse(text, scope(t))
		if err != nil {
			t.Fatal(err)
		}
		if got := parsed.Expand(r); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
	r.TLS, r.Host = &tls.ConnectionState{}, "[2001:db8::1]"
	text, err := Parse("{scheme} {host} {port}", Scope{})
	if err != nil {
		t.Fatal(err)
	}
	if got := text.Expand(r); got != "https [2001:db8::1] 443" {
		t.Errorf("an IPv6 host: %q", got)
	}
}

func TestParseErrors(t *testing.T) {
	tests := []struct {
		text   string
		offset int
		wants  []string
	}{
		{"{hots}", 0, []string{"{hots}", "did you mean {host}?"}},
		{"ab{headr.X}", 2, []string{"did you mean {header.X}?"}},
		{"{header}", 0, []string{"{header.NAME}"}},
		{"{header.}", 0, []string{"nothing behind its dot"}},
		{"{header.a b}", 0, []string{"names no header"}},
		{"{cookie.a;b}", 0, []string{"names no cookie"}},
		{"{3}", 0, []string{"group that the regexp does not have: it has 2"}},
		{"{01}", 0, []string{"unknown placeholder"}},
		{"{-1}", 0, []string{"unknown placeholder"}},
		{"{env.MISSING}", 0, []string{"not set"}},
		{"{map.sites}", 0, []string{"did you mean {map.site}?"}},
		{"{}", 0, []string{"has no name"}},
		{"x{path", 1, []string{"not closed", "{{"}},
		{"{pa{th}", 0, []string{"not closed"}},
		{`{"a": 1}`, 0, []string{"{{"}},
		{"{" + strings.Repeat("x", 5000) + "}", 0, []string{"unknown placeholder"}},
	}
	for _, test := range tests {
		_, err := Parse(test.text, scope(t))
		var why *Error
		if !errors.As(err, &why) {
			t.Errorf("%.40s: %v", test.text, err)
			continue
		}
		for _, want := range test.wants {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%.40s: %q does not say %q", test.text, err, want)
			}
		}
		if why.Offset != test.offset || len(err.Error()) > 500 {
			t.Errorf("%.40s: at %d, want %d; %d bytes long", test.text, why.Offset, test.offset, len(err.Error()))
		}
	}
	if _, err := Parse("{1}", Scope{}); err == nil || !strings.Contains(err.Error(), "there is none") {
		t.Errorf("a group without a regexp: %v", err)
	}
	if _, err := Parse("{0}", Scope{Whole: true}); err != nil {
		t.Errorf("{0} of a regexp without groups: %v", err)
	}
}

func TestAppendURL(t *testing.T) {
	tests := []struct{ text, want string }{
		{"/x{path}", "/x/a%20b/c"},
		{"/x?p={path}&q={2}", "/x?p=/a%20b/c&q=c%26d%3F"},
		{"/{2}?a=b", "/c&d%3F?a=b"}, // the value's "?" begins no query
		{"/x{uri}", "/x/a%20b/c?x=1+2&y=%26&x=3"},
		{"/x?{query}", "/x?x=1+2&y=%26&x=3"},
		{"/ä b\"", "/%C3%A4%20b%22"},
		{"https://{host}{uri}", "https://a.example.com/a%20b/c?x=1+2&y=%26&x=3"},
		{"/{header.X-Evil}", "/a%0D%0ASet-Cookie:%20b"},
	}
	for _, test := range tests {
		text, err := Parse(test.text, scope(t))
		if err != nil {
			t.Fatal(err)
		}
		if got := string(text.AppendURL([]byte("> "), asked())); got != "> "+test.want {
			t.Errorf("%s: %q, want %q", test.text, got, test.want)
		}
	}
	r := httptest.NewRequest("GET", "/p", nil)
	for text, want := range map[string]string{"/x?{query}": "/x", "/x?a=b&{query}": "/x?a=b", "/x?{query}&a=b": "/x?&a=b"} {
		parsed, _ := Parse(text, Scope{})
		if got := string(parsed.AppendURL(nil, r)); got != want {
			t.Errorf("%s without a query: %q, want %q", text, got, want)
		}
	}
	r.Host = "a@b/c.example.com"
	if parsed, _ := Parse("//{host}/", Scope{}); string(parsed.AppendURL(nil, r)) != "//a%40b%2Fc.example.com/" {
		t.Errorf("a host that is none: %s", parsed.AppendURL(nil, r))
	}
}

func TestAppendLine(t *testing.T) {
	text, err := Parse("<{header.X-Evil}>", Scope{})
	if err != nil {
		t.Fatal(err)
	}
	if got := string(text.AppendLine(nil, asked())); got != "<a  Set-Cookie: b>" {
		t.Errorf("%q", got)
	}
}

func TestOwnStart(t *testing.T) {
	for text, want := range map[string]bool{
		"https://a/{path}": true, "//a{path}": true, "{scheme}://{host}/": true, "{map.site}/x": true, "mailto:{1}": true,
		"{path}": false, "/{1}": false, "{1}://x": false, "{scheme}{path}": false, "": false, "x/{1}:": false, "{header.X}": false,
	} {
		parsed, err := Parse(text, scope(t))
		if err != nil {
			t.Fatal(err)
		}
		if parsed.OwnStart() != want {
			t.Errorf("%q: %v", text, !want)
		}
	}
}

func TestExtra(t *testing.T) {
	s := Scope{Extra: func(name string) Value {
		if name != "status" {
			return nil
		}
		return func(dst []byte, _ *http.Request, with any) []byte { return append(dst, with.(string)...) }
	}, ExtraNames: []string{"status"}}
	text, err := Parse("{status} {method}", s)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(text.AppendWith(nil, asked(), "200")); got != "200 GET" {
		t.Errorf("%q", got)
	}
	if _, err := Parse("{statsu}", s); err == nil || !strings.Contains(err.Error(), "did you mean {status}?") {
		t.Errorf("%v", err)
	}
}

func TestMap(t *testing.T) {
	m := scope(t).Maps["site"]
	for from, want := range map[string]string{"a.example.com": "one", "b.example.com": "two", "c": "three", "": "none"} {
		if got, _ := m.lookup([]byte(from)).Constant(); got != want {
			t.Errorf("%q: %q, want %q", from, got, want)
		}
	}
	if _, err := NewMap(Fixed(""), []Entry{{"~(", Fixed("x")}}, Fixed("")); err == nil {
		t.Error("a regexp that does not compile is taken")
	}
}

func TestNeeds(t *testing.T) {
	s := scope(t)
	from, _ := Parse("{lang}", s)
	m, _ := NewMap(from, nil, Fixed(""))
	s.Maps["lang"] = m
	for text, want := range map[string]Needs{"{path}{map.site}": 0, "{1}": NeedsGroups, "{lang}{user}": NeedsGroups | NeedsUser, "{map.lang}": NeedsGroups} {
		parsed, err := Parse(text, s)
		if err != nil {
			t.Fatal(err)
		}
		if parsed.Needs() != want {
			t.Errorf("%s needs %v, want %v", text, parsed.Needs(), want)
		}
	}
}

// Plain values cost nothing but their bytes.
func TestNoAllocation(t *testing.T) {
	text, err := Parse("{method} {path} {uri} {host} {client} {header.Accept} {query.y}{1}{map.site}", scope(t))
	if err != nil {
		t.Fatal(err)
	}
	r := asked()
	r.URL.Path, r.URL.RawPath, r.Host = "/a", "", "a.example.com"
	r.URL.RawQuery = "y=2"
	buf := make([]byte, 0, 1000)
	if n := testing.AllocsPerRun(100, func() { buf = text.Append(buf[:0], r) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// What Parse takes, String writes, and Parse takes again for the same.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"", "{path}", "{{x}", "{header.X}-{1}", "{map.site}", "{env.BRACE}", "{", "}", "a{query.b}c{{", "{0}{lang}"} {
		f.Add(seed, "/a?b=c", "v\r\n")
	}
	f.Fuzz(func(t *testing.T, text, target, value string) {
		s := scope(t)
		parsed, err := Parse(text, s)
		if err != nil {
			if len(err.Error()) > 1000 {
				t.Errorf("%d bytes of error", len(err.Error()))
			}
			return
		}
		again, err := Parse(parsed.String(), s)
		if err != nil || again.String() != parsed.String() {
			t.Fatalf("%q is written as %q, which is %q, %v", text, parsed, again, err)
		}
		r := asked()
		if u, err := r.URL.Parse(target); err == nil && u.Host == r.URL.Host {
			r.URL = u
		}
		r.Header["X"] = []string{value}
		FoundOf(r).Groups[1] = value
		if a, b := parsed.Expand(r), again.Expand(r); a != b {
			t.Errorf("%q: %q, and as %q: %q", text, a, parsed, b)
		}
		for _, c := range parsed.AppendURL(nil, r) {
			if c <= ' ' || c >= 0x7f || c == '"' || c == '<' || c == '\\' {
				t.Fatalf("%q makes the URL %q", text, parsed.AppendURL(nil, r))
			}
		}
		fixedText, _ := parsed.Constant()
		if line := string(parsed.AppendLine(nil, r)); strings.ContainsAny(line, "\r\n\x00") && fixedText == "" && !strings.ContainsAny(text, "\r\n\x00") {
			t.Errorf("%q makes the line %q", text, line)
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	text, _ := Parse("{method} {uri} {client} {header.Accept}", Scope{})
	r := asked()
	buf := make([]byte, 0, 1000)
	b.ReportAllocs()
	for b.Loop() {
		buf = text.Append(buf[:0], r)
	}
}

// Values of tables may have placeholders. What such a table gives is encoded as its
// parts are, and is its author's word only if each value begins with that.
func TestDynamicMap(t *testing.T) {
	parse := func(text string, s Scope) *Text {
		t.Helper()
		parsed, err := Parse(text, s)
		if err != nil {
			t.Fatal(err)
		}
		return parsed
	}
	table := func(def string, entries ...Entry) *Map {
		t.Helper()
		m, err := NewMap(parse("{header.X-Proto}", Scope{}), entries, parse(def, Scope{}))
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	s := Scope{Maps: map[string]*Map{
		"proto": table("{scheme}", Entry{"https", Fixed("https")}),
		"said":  table("{header.X-Said}", Entry{"https", Fixed("/a?b=c d")}),
		"who":   table("{user}"),
	}}
	r := httptest.NewRequest("GET", "/p", nil)
	r.Header.Set("X-Said", "http://evil.example/?x=1&y")
	for _, test := range []struct{ proto, text, plain, url string }{
		{"", "{map.proto}://a/", "http://a/", "http://a/"},
		{"https", "{map.proto}://a/", "https://a/", "https://a/"},
		{"", "{map.said}", "http://evil.example/?x=1&y", "http://evil.example/%3Fx=1&y"},
		{"", "/?u={map.said}", "/?u=http://evil.example/?x=1&y", "/?u=http://evil.example/%3Fx%3D1%26y"},
		{"https", "{map.said}", "/a?b=c d", "/a?b=c%20d"},
	} {
		r.Header.Set("X-Proto", test.proto)
		text := parse(test.text, s)
		if got := string(text.Append(nil, r)); got != test.plain {
			t.Errorf("%q of %s: %q, want %q", test.proto, test.text, got, test.plain)
		}
		if got := string(text.AppendURL(nil, r)); got != test.url {
			t.Errorf("%q of %s as a URL: %q, want %q", test.proto, test.text, got, test.url)
		}
	}
	for text, want := range map[string]bool{"{map.proto}://a": true, "{map.said}": false} {
		if got := parse(text, s).OwnStart(); got != want {
			t.Errorf("%s: its author's word: %v", text, got)
		}
	}
	if got := parse("{map.proto}://shop.example{request_uri}", s).Host(); got != "shop.example" {
		t.Errorf("the host behind a table's scheme is %q", got)
	}
	if got := parse("{map.who}", s).Needs(); got != NeedsUser {
		t.Errorf("a table with a user as its value needs %v", got)
	}
}

// {realpath.PATH} follows links, and is asked again.
func TestRealpath(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "current.d")
	text, err := Parse("{realpath."+link+"}/x{path}", Scope{})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("GET", "/p", nil)
	expect := func(want string) {
		t.Helper()
		if got := text.Expand(r); got != want+"/x/p" {
			t.Errorf("%q, want %q", got, want)
		}
	}
	expect(link) // it leads nowhere
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "one"), 0o755), os.Symlink("one", link)); err != nil {
		t.Fatal(err)
	}
	expect(link)
	real := text.parts[0].real
	real.found.Store(&realpathFound{link, time.Now().Add(-realpathFor)})
	expect(filepath.Join(dir, "one"))
	if text.String() != "{realpath."+link+"}/x{path}" {
		t.Errorf("it is written %s", text)
	}
	if _, err := Parse("{realpath.www}", Scope{}); err == nil {
		t.Error("a relative path is taken")
	}
}

func TestKindsOfTables(t *testing.T) {
	client, _ := Parse("{client}", Scope{})
	networks, err := Networks(client, []Entry{{"10.0.0.0/8", Fixed("ten")}, {"10.1.0.0/16", Fixed("ten one")}, {"10.1.2.3", Fixed("one")}, {"2001:db8::/32", Fixed("six")}}, Fixed("none"))
	if err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]string{"10.9.9.9": "ten", "10.1.9.9": "ten one", "10.1.2.3": "one", "192.0.2.1": "none", "2001:db8::1": "six", "::1": "none", "::ffff:10.1.2.3": "one", "": "none"} {
		if got := networks.lookup([]byte(address)).String(); got != want {
			t.Errorf("%s: %q, want %q", address, got, want)
		}
	}
	folded, _ := NewFolded(client, []Entry{{"ABC", Fixed("x")}, {"~^D", Fixed("y")}}, Fixed(""))
	for text, want := range map[string]string{"abc": "x", "aBc": "x", "D": "y", "d": ""} {
		if got := folded.lookup([]byte(text)).String(); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
	split, err := Split(client, []Entry{{"25%", Fixed("a")}, {"0.5%", Fixed("b")}}, Fixed("c"))
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for i := range 20000 {
		counts[split.lookup(fmt.Appendf(nil, "text %d", i)).String()]++
	}
	if a, b := counts["a"], counts["b"]; a < 4700 || a > 5300 || b < 60 || b > 140 {
		t.Errorf("shares: %v", counts)
	}
	// The numbers of Austin Appleby's MurmurHash2 with the seed 0, as nginx has it.
	for text, want := range map[string]uint32{"": 0, "a": 0x92685f5e, "abcd": 0x26873021, "hello world": 0x44a81419} {
		if got := murmur2([]byte(text)); got != want {
			t.Errorf("murmur2(%q) = %#x, want %#x", text, got, want)
		}
	}
	for _, bad := range []error{one(Networks(client, []Entry{{"10.0.0.0/40", Fixed("")}}, Fixed(""))), one(Split(client, []Entry{{"60%", Fixed("")}, {"50%", Fixed("")}}, Fixed(""))), one(Split(client, []Entry{{"6", Fixed("")}}, Fixed("")))} {
		if bad == nil {
			t.Error("a bad key is one")
		}
	}
}

func one(_ *Map, err error) error { return err }
