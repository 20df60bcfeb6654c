package upstream

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
)

func testReverse(mount string, c Reverse) *reverse {
	return newReverse(&c, mount, []Server{{Address: "10.0.0.1:80"}, {Address: "Back.internal:8080"}, {Address: "[::1]:443"}, {Address: "unix:/run/x"}})
}

func TestCookieFlags(t *testing.T) {
	v := testReverse("", Reverse{CookieFlags: []ReverseRule{
		{From: "session", To: "secure httponly samesite=lax"},
		{Regexp: regexp.MustCompile("^open_"), To: "nosecure nohttponly nosamesite"},
		{Regexp: regexp.MustCompile("."), To: "Secure"},
	}})
	for value, want := range map[string]string{
		"session=1": "session=1; Secure; HttpOnly; SameSite=Lax",
		"Session=1; Path=/; SameSite=None; secure":          "Session=1; Path=/; Secure; HttpOnly; SameSite=Lax",
		"open_x=a=b; Secure;HttpOnly ; samesite; Max-Age=3": "open_x=a=b; Max-Age=3",
		"other; Path=/": "other; Path=/; Secure",
		"":              "",
	} {
		h := http.Header{"Set-Cookie": {value}}
		v.apply(h, "site.example", nil)
		if got := h.Get("Set-Cookie"); got != want {
			t.Errorf("%q: %q, want %q", value, got, want)
		}
	}
	if CookieFlag("secure;") || !CookieFlag("SameSite=Strict") {
		t.Error("a word that is no flag is one, or one that is is none")
	}
}

func TestReverseLocation(t *testing.T) {
	for _, test := range []struct{ mount, value, want string }{
		// A back end's own address becomes the site.
		{"", "http://10.0.0.1/a?b#c", "/a?b#c"},
		{"", "http://10.0.0.1:80", "/"},
		{"", "HTTP://10.0.0.1?q", "/?q"},
		{"", "http://BACK.internal:8080/x", "/x"},
		{"", "https://[::1]/x", "/x"},
		{"", "//back.internal:8080/x", "/x"},
		{"/shop", "http://10.0.0.1/a", "/shop/a"},
		{"/shop", "http://10.0.0.1", "/shop/"},
		{"/shop", "http://10.0.0.1/shop/a", "/shop/a"}, // one that looks at X-Forwarded-Prefix
		// Never into another host.
		{"", "http://10.0.0.1//evil.example/", "/.//evil.example/"},
		{"", `http://10.0.0.1/\evil.example/`, `/./\evil.example/`},
		{"", "http://10.0.0.1@evil.example/", "http://10.0.0.1@evil.example/"},
		{"", `http://10.0.0.1\evil.example/`, `http://10.0.0.1\evil.example/`},
		{"", "http://10.0.0.1.evil.example/", "http://10.0.0.1.evil.example/"},
		// Paths and the site's own URLs are put within the mount.
		{"", "/a", "/a"},
		{"/shop", "/a", "/shop/a"},
		{"/shop", "/shop", "/shop"},
		{"/shop", "/shop?x", "/shop?x"},
		{"/shop", "/shopping", "/shop/shopping"},
		{"/my shop;", "/a", "/my%20shop%3B/a"},
		{"/my shop;", "/my%20shop%3B/a", "/my%20shop%3B/a"},
		{"/shop", "http://site.example/a", "http://site.example/shop/a"},
		{"/shop", "https://SITE.example", "https://SITE.example/shop/"},
		{"/shop", "https://site.example/shop/a", "https://site.example/shop/a"},
		{"", "https://site.example/a", "https://site.example/a"},
		// What is somebody else's, or relative, stays.
		{"/shop", "https://other.example/a", "https://other.example/a"},
		{"/shop", "http://back.internal/a", "http://back.internal/a"}, // another port
		{"/shop", "https://10.0.0.1/a", "https://10.0.0.1/a"},
		{"/shop", "//other.example/a", "//other.example/a"},
		{"/shop", "a/b", "a/b"},
		{"/shop", "?a", "?a"},
		{"/shop", "", ""},
		{"/shop", `/\evil.example`, `/\evil.example`},
		{"/shop", "mailto:a@b.example", "mailto:a@b.example"},
		{"/shop", "app://10.0.0.1/a", "app://10.0.0.1/a"},
		{"/shop", "http:///a", "http:///a"},
	} {
		h := http.Header{"Location": {test.value}, "Content-Location": {test.value}}
		testReverse(test.mount, Reverse{Automatic: true}).apply(h, "site.example", nil)
		if h["Location"][0] != test.want || h["Content-Location"][0] != test.want {
			t.Errorf("%q at %q: %q, want %q", test.value, test.mount, h["Location"], test.want)
		}
		h = http.Header{"Location": {test.value}}
		if testReverse(test.mount, Reverse{}).apply(h, "site.example", nil); h["Location"][0] != test.value {
			t.Errorf("not automatic, %q becomes %q", test.value, h["Location"])
		}
	}
}

func TestReverseRules(t *testing.T) {
	v := testReverse("/shop", Reverse{
		Automatic: true,
		Location: []ReverseRule{
			{From: "http://old.example/app/", To: "/app/"},
			{From: "http://older.example", To: "https://new.example"},
			{Regexp: regexp.MustCompile(`^http://([a-z]+)\.internal(/.*)$`), To: "https://$1.example$2"},
			{From: "/same", To: "/same"},
		},
		CookieDomain: []ReverseRule{{From: ".old.example", To: "new.example"}, {From: "gone.example", To: ""}, {Regexp: regexp.MustCompile(`^(.*)\.internal$`), To: "$1.example"}},
		CookiePath:   []ReverseRule{{From: "/app", To: "/"}, {From: "/x/", To: "/y/"}},
	})
	for value, want := range map[string]string{
		"http://old.example/app/x":       "/app/x",
		"http://old.example/apple":       "http://old.example/apple",
		"http://older.example":           "https://new.example",
		"http://older.example:81/x":      "https://new.example:81/x",
		"http://older.example.evil.test": "http://older.example.evil.test",
		"http://a.internal/x":            "https://a.example/x",
		"/same/x":                        "/same/x",
		"/other":                         "/shop/other",
	} {
		if got := v.location(value, "site.example"); got != want {
			t.Errorf("%q: %q, want %q", value, got, want)
		}
	}
	for value, want := range map[string]string{
		"a=1; Domain=old.example; Secure":   "a=1; Domain=new.example; Secure",
		"a=1; domain=.OLD.example":          "a=1; domain=new.example",
		"a=1;Domain=gone.example; HttpOnly": "a=1; HttpOnly",
		"a=1; Domain=x.internal":            "a=1; Domain=x.example",
		"a=1; Path=/app":                    "a=1; Path=/",
		"a=1; Path=/x/z":                    "a=1; Path=/y/z",
		"a=1; Path=/q":                      "a=1; Path=/shop/q",
	} {
		if got := v.cookie(value); got != want {
			t.Errorf("%q: %q, want %q", value, got, want)
		}
	}
}

func TestReverseCookie(t *testing.T) {
	v := testReverse("/shop", Reverse{Automatic: true})
	for value, want := range map[string]string{
		"a=1":                                        "a=1",
		"a=Path=/; Path=/":                           "a=Path=/; Path=/shop",
		"a=1; Path=/x; Expires=Mon, 01 Jan 2030":     "a=1; Path=/shop/x; Expires=Mon, 01 Jan 2030",
		"a=1; PATH = /shop/x":                        "a=1; PATH = /shop/x",
		"a=1; Domain=back.internal; Path=/shop":      "a=1; Path=/shop",
		"a=1; Domain=.10.0.0.1":                      "a=1",
		"a=1; Domain=site.example; Secure":           "a=1; Domain=site.example; Secure",
		"a=1; Domain; Path; Path=":                   "a=1; Domain; Path; Path=",
		"__Host-a=1; Path=/; Secure":                 "__Host-a=1; Path=/; Secure",
		"__Secure-a=1; Secure; Path=/; SameSite=Lax": "__Secure-a=1; Secure; Path=/shop; SameSite=Lax",
	} {
		if got := v.cookie(value); got != want {
			t.Errorf("%q: %q, want %q", value, got, want)
		}
	}
}

func TestReverseRefresh(t *testing.T) {
	v := testReverse("/shop", Reverse{Automatic: true})
	for value, want := range map[string]string{
		"5":                                 "5",
		"5; url=http://10.0.0.1/a":          "5; url=/shop/a",
		"0;URL='http://10.0.0.1/a'":         "0;URL='/shop/a'",
		`1.5 , Url = "/a"`:                  `1.5 , Url = "/shop/a"`,
		`1; url="/a`:                        `1; url="/shop/a`,
		"1; url=":                           "1; url=",
		"1; url=https://other.example/?a=b": "1; url=https://other.example/?a=b",
		"x; url=/a":                         "x; url=/a",
	} {
		if got := v.refresh(value, "site.example"); got != want {
			t.Errorf("%q: %q, want %q", value, got, want)
		}
	}
}

// FuzzReverse: whatever a back end says, what comes out can be sent, leads to no
// host that was not named, and does not change when it is rewritten again.
func FuzzReverse(f *testing.F) {
	for _, seed := range []string{
		"/a", "http://10.0.0.1//b", "//10.0.0.1:80/x", "5; url='http://10.0.0.1/a'", "a=1; Domain=back.internal; Path=/; Secure", "http://site.example?x",
	} {
		f.Add("/shop", seed)
		f.Add("", seed)
	}
	f.Fuzz(func(t *testing.T, mount, value string) {
		if mount != "" && (mount[0] != '/' || len(mount) < 2 || mount[1] == '/' || mount[1] == '\\' || strings.HasSuffix(mount, "/")) {
			t.Skip()
		}
		v := testReverse(mount, Reverse{Automatic: true})
		for name, f := range map[string]func(string) string{
			"location": func(s string) string { return v.location(s, "site.example") },
			"refresh":  func(s string) string { return v.refresh(s, "site.example") },
			"cookie":   v.cookie,
		} {
			once := f(value)
			if twice := f(once); twice != once {
				t.Errorf("%s %q at %q: %q, and again %q", name, value, mount, once, twice)
			}
			if len(once) > len(value)+3*len(mount)*(1+strings.Count(value, ";"))+2 {
				t.Errorf("%s %q grew to %q", name, value, once)
			}
		}
		out := v.location(value, "site.example")
		for _, other := range []string{"//", `/\`} {
			if strings.HasPrefix(out, other) && !strings.HasPrefix(value, other) {
				t.Errorf("location %q at %q: %q leads to another host", value, mount, out)
			}
		}
		pair, _, _ := strings.Cut(value, ";")
		if !strings.HasPrefix(v.cookie(value), pair) {
			t.Errorf("cookie %q: %q is another one", value, v.cookie(value))
		}
	})
}
