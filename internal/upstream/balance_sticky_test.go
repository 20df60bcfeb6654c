package upstream

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// asking sends a GET with a cookie, and returns who answered and what cookie it
// was given.
func asking(t *testing.T, g *Group, cookie string) (server string, given *http.Cookie) {
	t.Helper()
	x := exchangeOf("GET")
	if cookie != "" {
		x.r.Header.Set("Cookie", cookie)
	}
	s, resp, err := g.send(t.Context(), x)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	g.done(s, nil)
	for _, line := range resp.Header["Set-Cookie"] {
		if given, err = http.ParseSetCookie(line); err != nil {
			t.Fatal(err)
		}
	}
	return s.address, given
}

func TestSticky(t *testing.T) {
	cfg := Config{Balance: RoundRobin, Sticky: Sticky{Cookie: "srv", Secret: "0123456789abcdef", Path: "/a", MaxAge: time.Hour}, Servers: weighted(1, 1, 1)}
	g := group(&logBuffer{}, cfg)
	server, c := asking(t, g, "")
	if server != "a" || c == nil || c.Name != "srv" || c.Path != "/a" || c.MaxAge != 3600 || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Secure {
		t.Fatalf("%s, %v", server, c)
	}
	for range 5 {
		if server, again := asking(t, g, "x=1; srv="+c.Value); server != "a" || again != nil {
			t.Errorf("%s, %v", server, again)
		}
	}
	// It is the same for another front server, and not for another secret,
	// another group or another address.
	if other := group(&logBuffer{}, cfg); other.servers[0].token != c.Value {
		t.Error("two front servers with one secret differ")
	}
	seen := map[string]bool{}
	for _, s := range g.servers {
		seen[s.token] = true
		if len(s.token) < 20 || strings.Contains(s.token, s.address+":") {
			t.Errorf("%q is a token", s.token)
		}
	}
	changed := cfg
	changed.Sticky.Secret = "another secret of sixteen"
	seen[group(&logBuffer{}, changed).servers[0].token] = true
	changed = cfg
	changed.Name = "other"
	seen[group(&logBuffer{}, changed).servers[0].token] = true
	if len(seen) != 5 {
		t.Errorf("%d tokens of five are different", len(seen))
	}

	// What is forged chooses nothing.
	for _, value := range []string{"a", "b", "10.0.0.1:80", strings.Repeat("A", 20), c.Value + "A", c.Value[:len(c.Value)-1], `"`, strings.Repeat("x", 5000)} {
		if _, given := asking(t, g, "srv="+value); given == nil {
			t.Errorf("%.20q is as good as a cookie", value)
		}
	}
	// The first that a server has counts.
	if server, given := asking(t, g, "srv=zzz; srv="+c.Value); server != "a" || given != nil {
		t.Errorf("%s, %v", server, given)
	}

	// Its server has no room: another answers, and nothing else changes.
	g.servers[0].limit, g.servers[0].active = 1, 1
	if server, given := asking(t, g, "srv="+c.Value); server == "a" || given != nil {
		t.Errorf("busy: %s, %v", server, given)
	}
	g.servers[0].limit, g.servers[0].active = 0, 0

	// It is down: another answers, and is the client's.
	g.DrainServer("a", true)
	server, moved := asking(t, g, "srv="+c.Value)
	if server == "a" || moved == nil || moved.Value == c.Value {
		t.Fatalf("down: %s, %v", server, moved)
	}
	g.DrainServer("a", false)
	for range 4 {
		if again, given := asking(t, g, "srv="+moved.Value); again != server || given != nil {
			t.Errorf("%s, %v", again, given)
		}
	}
}

// TestStickyWithoutSecret: it is of this process, and of the group that follows.
func TestStickyWithoutSecret(t *testing.T) {
	cfg := Config{Sticky: Sticky{Cookie: "srv"}, Servers: weighted(1, 1)}
	one, two := group(&logBuffer{}, cfg), group(&logBuffer{}, cfg)
	if one.servers[0].token == two.servers[0].token {
		t.Error("the secret is no secret")
	}
	two.Inherit(one)
	if one.servers[0].token != two.servers[0].token || two.tokens[one.servers[1].token] != two.servers[1] {
		t.Error("the cookies ended with a reload")
	}
}

// TestStickyFollowsRetry: who answers in the end is the client's.
func TestStickyFollowsRetry(t *testing.T) {
	all := weighted(1, 1)
	all[0].RoundTripper.(*named).down.Store(true)
	g := group(&logBuffer{}, Config{Balance: RoundRobin, Sticky: Sticky{Cookie: "srv"}, Servers: all})
	server, c := asking(t, g, "srv="+g.servers[0].token)
	if server != "b" || c == nil || c.Value != g.servers[1].token {
		t.Errorf("%s, %v", server, c)
	}
}
