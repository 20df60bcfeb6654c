package forwarded

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

func trust(what string) *Trust {
	return &Trust{
		Proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8:1::/48")},
		For:     strings.Contains(what, "f"), Proto: strings.Contains(what, "p"), Host: strings.Contains(what, "h"),
		Port: strings.Contains(what, "n"), Forwarded: strings.Contains(what, "F"), Unix: strings.Contains(what, "u"),
	}
}

// header makes a header of lines.
func header(lines string) http.Header {
	h := http.Header{}
	for line := range strings.SplitSeq(lines, "\n") {
		if name, value, ok := strings.Cut(line, ": "); ok {
			h.Add(name, value)
		}
	}
	return h
}

func TestApply(t *testing.T) {
	for _, test := range []struct {
		name, trust, remote, headers string
		tls                          bool // of the connection
		client, scheme, host, chain  string
	}{
		{"not a proxy", "fphn", "192.0.2.9:5", "X-Forwarded-For: 1.1.1.1\nX-Forwarded-Proto: https\nX-Forwarded-Host: evil.com", false,
			"192.0.2.9:5", "http", "site.com", "1.1.1.1"},
		{"says nothing", "fp", "10.0.0.1:5", "", false, "10.0.0.1:5", "http", "site.com", ""},
		{"one proxy", "fp", "10.0.0.1:5", "X-Forwarded-For: 192.0.2.1\nX-Forwarded-Proto: https", false,
			"192.0.2.1:0", "https", "site.com", "192.0.2.1"},
		{"the client's inventions", "fp", "10.0.0.1:5", "X-Forwarded-For: 10.9.9.9, 6.6.6.6, 192.0.2.1\nX-Forwarded-Proto: https", false,
			"192.0.2.1:0", "https", "site.com", "192.0.2.1"},
		{"two proxies", "fp", "10.0.0.1:5", "X-Forwarded-For: 6.6.6.6, 192.0.2.1, 10.0.0.2", false,
			"192.0.2.1:0", "http", "site.com", "192.0.2.1, 10.0.0.2"},
		{"two lines", "fp", "10.0.0.1:5", "X-Forwarded-For: 6.6.6.6\nX-Forwarded-For: 192.0.2.1,10.0.0.2", false,
			"192.0.2.1:0", "http", "site.com", "192.0.2.1, 10.0.0.2"},
		{"proxies alone", "fp", "10.0.0.1:5", "X-Forwarded-For: 10.0.0.3, 10.0.0.2", false,
			"10.0.0.3:0", "http", "site.com", "10.0.0.3, 10.0.0.2"},
		{"nonsense to the left", "fp", "10.0.0.1:5", "X-Forwarded-For: <script>, 10.0.0.2", false,
			"10.0.0.2:0", "http", "site.com", "10.0.0.2"},
		{"nonsense", "fp", "10.0.0.1:5", "X-Forwarded-For: unknown", false, "10.0.0.1:5", "http", "site.com", "10.0.0.1"},
		{"a zone", "fp", "10.0.0.1:5", "X-Forwarded-For: fe80::1%eth0", false, "10.0.0.1:5", "http", "site.com", "10.0.0.1"},
		{"ports", "fp", "10.0.0.1:5", "X-Forwarded-For: 192.0.2.1:4711", false, "192.0.2.1:4711", "http", "site.com", "192.0.2.1"},
		{"IPv6", "fp", "[2001:db8:1::7]:5", "X-Forwarded-For: 2001:db8::1", false, "[2001:db8::1]:0", "http", "site.com", "2001:db8::1"},
		{"IPv6 in brackets", "fp", "10.0.0.1:5", "X-Forwarded-For: [2001:db8::1]:99, [2001:db8:1::8]", false,
			"[2001:db8::1]:99", "http", "site.com", "2001:db8::1, 2001:db8:1::8"},
		{"IPv4 in IPv6", "fp", "[::ffff:10.0.0.1]:5", "X-Forwarded-For: ::ffff:192.0.2.1", false, "192.0.2.1:0", "http", "site.com", "192.0.2.1"},
		{"a header that they do not set", "p", "10.0.0.1:5", "X-Forwarded-For: 6.6.6.6\nX-Forwarded-Host: evil.com", false,
			"10.0.0.1:5", "http", "site.com", "10.0.0.1"},

		{"plain behind TLS", "fp", "10.0.0.1:5", "X-Forwarded-Proto: http", true, "10.0.0.1:5", "http", "site.com", ""},
		{"TLS and nothing said", "fp", "10.0.0.1:5", "", true, "10.0.0.1:5", "https", "site.com", ""},
		{"a scheme for each", "fp", "10.0.0.1:5", "X-Forwarded-For: 192.0.2.1, 10.0.0.2\nX-Forwarded-Proto: http, https, http", false,
			"192.0.2.1:0", "https", "site.com", "192.0.2.1, 10.0.0.2"},
		{"fewer schemes", "fp", "10.0.0.1:5", "X-Forwarded-For: 192.0.2.1, 10.0.0.2\nX-Forwarded-Proto: https", false,
			"192.0.2.1:0", "https", "site.com", "192.0.2.1, 10.0.0.2"},
		{"another scheme", "fp", "10.0.0.1:5", "X-Forwarded-Proto: javascript", false, "10.0.0.1:5", "http", "site.com", ""},

		{"host", "fph", "10.0.0.1:5", "X-Forwarded-Host: www.site.com:8443", false, "10.0.0.1:5", "http", "www.site.com:8443", ""},
		{"host, not believed", "fp", "10.0.0.1:5", "X-Forwarded-Host: evil.com", false, "10.0.0.1:5", "http", "site.com", ""},
		{"no host", "fph", "10.0.0.1:5", "X-Forwarded-Host: evil.com/?x=", false, "10.0.0.1:5", "http", "site.com", ""},
		{"port", "fpn", "10.0.0.1:5", "X-Forwarded-Port: 8443\nX-Forwarded-Proto: https", false, "10.0.0.1:5", "https", "site.com:8443", ""},
		{"usual port", "fpnh", "10.0.0.1:5", "X-Forwarded-Port: 443\nX-Forwarded-Proto: https\nX-Forwarded-Host: [2001:db8::5]:80", false,
			"10.0.0.1:5", "https", "[2001:db8::5]", ""},
		{"no port", "fpn", "10.0.0.1:5", "X-Forwarded-Port: 80a", false, "10.0.0.1:5", "http", "site.com", ""},

		{"Forwarded", "fpF", "10.0.0.1:5", `Forwarded: for=6.6.6.6;proto=http, for="[2001:db8::1]:4711";Proto=HTTPS;host="www.site.com:8443";by=_x, for=10.0.0.2;proto=http`, false,
			"[2001:db8::1]:4711", "https", "www.site.com:8443", "2001:db8::1, 10.0.0.2"},
		{"Forwarded goes first", "fpF", "10.0.0.1:5", "Forwarded: for=192.0.2.1\nX-Forwarded-For: 6.6.6.6\nX-Forwarded-Proto: https", false,
			"192.0.2.1:0", "https", "site.com", "192.0.2.1"},
		{"Forwarded is not set by them", "fp", "10.0.0.1:5", "Forwarded: for=6.6.6.6\nX-Forwarded-For: 192.0.2.1", false,
			"192.0.2.1:0", "http", "site.com", "192.0.2.1"},
		{"Forwarded, hidden", "fpF", "10.0.0.1:5", "Forwarded: for=_hidden;proto=https", false, "10.0.0.1:5", "https", "site.com", ""},
		{"Forwarded, unknown behind a proxy", "fpF", "10.0.0.1:5", "Forwarded: for=unknown, for=10.0.0.2", false, "10.0.0.2:0", "http", "site.com", "10.0.0.2"},

		{"a Unix socket", "fp", "@", "X-Forwarded-For: 192.0.2.1", false, "@", "http", "site.com", "192.0.2.1"},
		{"a Unix socket of a proxy", "fpu", "@", "X-Forwarded-For: 192.0.2.1\nX-Forwarded-Proto: https", false,
			"192.0.2.1:0", "https", "site.com", "192.0.2.1"},
		{"a Unix socket of a proxy that is not known", "fpu", "@", "X-Forwarded-For: nobody", false, "@", "http", "site.com", ""},
	} {
		r := httptest.NewRequest("GET", "http://site.com/", nil)
		r.RemoteAddr, r.Header = test.remote, header(test.headers)
		r.TLS = nil
		if test.tls {
			r.TLS = &tls.ConnectionState{HandshakeComplete: true}
		}
		trust := trust(test.trust)
		proxy := trust.Trusts(test.remote)
		got, err := trust.Apply(r)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		name, _ := scheme(got)
		chain := got.Header.Get("X-Forwarded-For")
		if got.RemoteAddr != test.client || name != test.scheme || got.Host != test.host || chain != test.chain {
			t.Errorf("%s: %s, %s, %s, chain %q; want %s, %s, %s, %q", test.name, got.RemoteAddr, name, got.Host, chain, test.client, test.scheme, test.host, test.chain)
		}
		if (Of(got) != nil) != proxy {
			t.Errorf("%s: its origin is %v", test.name, Of(got))
		}
		if proxy {
			if h := got.Header; h.Get("X-Forwarded-Proto") != test.scheme || h["X-Forwarded-Host"] != nil && h.Get("X-Forwarded-Host") != test.host || h["Forwarded"] != nil {
				t.Errorf("%s: its headers are %v", test.name, h)
			}
		}
	}
}

func TestMalformed(t *testing.T) {
	for _, line := range []string{
		`for="`, `for=", for=192.0.2.1`, `for="a\`, `for=`, `for`, `for=1.1.1.1 for=2.2.2.2`, `for=a;for=b`, `=a`, `for="a"b`, "for=a\x00", "for=\"a\x01\"", `for=a;;b`,
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr, r.Header["Forwarded"] = "10.0.0.1:5", []string{line}
		if _, err := trust("F").Apply(r); err != ErrMalformed {
			t.Errorf("%q: %v", line, err)
		}
	}
	for _, line := range []string{"", ",", " , ;,", `for=a;by=b;host=c;proto=d;secret="x,y\"z"`, "FOR=a", ";;for=a;", `for=1.1.1.1:80,for=[::1]:80`} {
		if _, ok := Parse([]string{line}); !ok {
			t.Errorf("%q is not read", line)
		}
	}
}

func TestHonest(t *testing.T) {
	for _, test := range []struct{ name, remote, headers, want string }{
		{"nothing", "192.0.2.1:5", "Accept: */*", ""},
		{"lies", "192.0.2.1:5", "X-Forwarded-For: 127.0.0.1\nX-Forwarded-Proto: https\nX-Forwarded-Host: evil.com\nX-Forwarded-Port: 1\nX-Real-IP: ::1",
			"X-Forwarded-For: 192.0.2.1, X-Forwarded-Host: site.com, X-Forwarded-Port: 80, X-Forwarded-Proto: http, X-Real-Ip: 192.0.2.1"},
		{"others", "192.0.2.1:5", "X-Forwarded-Ssl: on\nForwarded: for=1.1.1.1", "X-Forwarded-For: 192.0.2.1"},
		{"a Unix socket", "@", "X-Forwarded-For: 127.0.0.1\nX-Forwarded-Prefix: /x", ""},
	} {
		var got []string
		h := Honest(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Prefix", "X-Forwarded-Proto", "X-Forwarded-Ssl", "X-Real-Ip"} {
				for _, value := range r.Header[name] {
					got = append(got, name+": "+value)
				}
			}
		}))
		r := httptest.NewRequest("GET", "http://site.com/", nil)
		r.RemoteAddr, r.Header = test.remote, header(test.headers)
		before := r.Header.Clone()
		h.ServeHTTP(nil, r)
		if all := strings.Join(got, ", "); all != test.want {
			t.Errorf("%s: the app sees %s; want %s", test.name, all, test.want)
		}
		if len(before) != len(r.Header) || before.Get("X-Forwarded-For") != r.Header.Get("X-Forwarded-For") {
			t.Errorf("%s: the request's own header has changed: %v", test.name, r.Header)
		}
	}
}

// Of a proxy's word nothing changes.
func TestHonestBehindProxy(t *testing.T) {
	r := httptest.NewRequest("GET", "http://site.com/", nil)
	r.RemoteAddr, r.Header = "10.0.0.1:5", header("X-Forwarded-For: 192.0.2.1\nX-Forwarded-Prefix: /x")
	r, err := trust("fp").Apply(r)
	if err != nil {
		t.Fatal(err)
	}
	Honest(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Forwarded-For") != "192.0.2.1" || r.Header.Get("X-Forwarded-Prefix") != "/x" || Of(r).Peer != "10.0.0.1" {
			t.Errorf("the app sees %v of %v", r.Header, Of(r))
		}
	})).ServeHTTP(nil, r)
}

func FuzzForwarded(f *testing.F) {
	for _, seed := range []string{
		`for=192.0.2.43, for="[2001:db8:cafe::17]:4711"`, `for=192.0.2.60;proto=http;by=203.0.113.43`, `for="_gazonk"`, `For="unknown";host="a\"b"`, `for="`, `;;,`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		elements, ok := Parse([]string{line})
		if !ok {
			return
		}
		var b strings.Builder // what was read, written anew, is read alike
		quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
		for i, e := range elements {
			if i > 0 {
				b.WriteString(", ")
			}
			sep := ""
			for _, p := range [][2]string{{"for", e.For}, {"by", e.By}, {"host", e.Host}, {"proto", e.Proto}} {
				if p[1] != "" {
					b.WriteString(sep + p[0] + `="` + quote.Replace(p[1]) + `"`)
					sep = ";"
				}
			}
		}
		again, ok := Parse([]string{b.String()})
		if !ok || len(again) != len(elements) {
			t.Fatalf("%q, written anew as %q, is %v", line, b.String(), again)
		}
		for i := range again {
			if again[i] != elements[i] {
				t.Fatalf("%q: %v is %v when it is written anew", line, elements[i], again[i])
			}
		}
		checkApply(t, "Forwarded", line)
	})
}

func FuzzXForwardedFor(f *testing.F) {
	for _, seed := range []string{"1.1.1.1", "::1, 10.0.0.2", "[::1]:5,10.0.0.1:80", "unknown", ",, ,", "10.0.0.1,10.0.0.2,::ffff:10.0.0.3"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) { checkApply(t, "X-Forwarded-For", line) })
}

// checkApply checks that whatever a header says, what comes out is an address,
// and that nobody to the left of an address that is not trusted is the client.
func checkApply(t *testing.T, name, line string) {
	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr = "10.0.0.1:5"
	r.Header[name] = []string{line, "192.0.2.1"}
	if name == "Forwarded" {
		r.Header[name][1] = "for=192.0.2.1"
	}
	got, err := trust("fphnF").Apply(r)
	if err != nil {
		return
	}
	if got.RemoteAddr != "192.0.2.1:0" {
		t.Fatalf("%s %q before 192.0.2.1 makes %s the client", name, line, got.RemoteAddr)
	}
	r = httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr, r.Header[name] = "10.0.0.1:5", []string{line}
	if got, err = trust("fphnF").Apply(r); err == nil {
		if at, err := netip.ParseAddrPort(got.RemoteAddr); err != nil || at.Addr().Is4In6() || at.Addr().Zone() != "" {
			t.Fatalf("%s %q makes %q the client", name, line, got.RemoteAddr)
		}
	}
}

func BenchmarkHonest(b *testing.B) {
	h := Honest(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr, r.Header = "192.0.2.1:5", header("Accept: */*\nAccept-Encoding: gzip\nAccept-Language: de\nUser-Agent: x\nCookie: a=b\nReferer: x\nX-Request-Id: 1\nX-Request-Start: t=1\nCache-Control: no-cache\nDnt: 1")
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(nil, r)
	}
}

func BenchmarkApply(b *testing.B) {
	t := trust("fp")
	r := httptest.NewRequest("GET", "/", nil)
	b.ReportAllocs()
	for b.Loop() {
		r.RemoteAddr, r.Header["X-Forwarded-For"], r.Header["X-Forwarded-Proto"] = "10.0.0.1:5", []string{"192.0.2.1"}, []string{"https"}
		if _, err := t.Apply(r); err != nil {
			b.Fatal(err)
		}
	}
}
