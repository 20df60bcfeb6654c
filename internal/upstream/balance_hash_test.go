package upstream

import (
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"
)

// hashed is where each of n keys goes.
func hashed(g *Group, n int) []string {
	all := make([]string, n)
	for i := range n {
		w := &want{key: keyOf(fmt.Sprintf("/page/%d", i)), keyed: true}
		s := g.lendNow(w)
		all[i] = s.address
		g.release(s)
	}
	return all
}

func numbered(n int) (all []Server) {
	for i := range n {
		name := fmt.Sprintf("10.0.0.%d:9000", i)
		all = append(all, Server{Address: name, RoundTripper: &named{name: name}})
	}
	return all
}

const keys = 20000

// TestHashMoves: with a server less its own keys move, with one more those that
// become its own, and no other.
func TestHashMoves(t *testing.T) {
	ten := hashed(group(&logBuffer{}, Config{Balance: Hash, Servers: numbered(10)}), keys)
	eleven := hashed(group(&logBuffer{}, Config{Balance: Hash, Servers: numbered(11)}), keys)
	moved := 0
	for i := range ten {
		if ten[i] != eleven[i] {
			if moved++; eleven[i] != "10.0.0.10:9000" {
				t.Fatalf("key %d moved from %s to %s", i, ten[i], eleven[i])
			}
		}
	}
	if share := float64(moved) / keys; math.Abs(share-1.0/11) > 0.01 {
		t.Errorf("%.3f of the keys moved, want about 1/11", share)
	}

	g := group(&logBuffer{}, Config{Balance: Hash, Servers: numbered(10)})
	g.DrainServer("10.0.0.3:9000", true)
	nine := hashed(g, keys)
	to := map[string]int{}
	for i := range ten {
		switch {
		case ten[i] == "10.0.0.3:9000":
			to[nine[i]]++
		case ten[i] != nine[i]:
			t.Fatalf("key %d moved from %s to %s", i, ten[i], nine[i])
		}
	}
	if len(to) != 9 {
		t.Errorf("the keys of one that went are with %d others, want all 9: %v", len(to), to)
	}
	g.DrainServer("10.0.0.3:9000", false)
	if back := hashed(g, keys); strings.Join(back, " ") != strings.Join(ten, " ") {
		t.Error("with it back the keys are not where they were")
	}
}

// TestHashSpread: the keys spread by the weights, and a changed weight moves no
// more than it must.
func TestHashSpread(t *testing.T) {
	count := func(all []string) map[string]float64 {
		n := map[string]float64{}
		for _, s := range all {
			n[s] += 1.0 / keys
		}
		return n
	}
	even := hashed(group(&logBuffer{}, Config{Balance: Hash, Servers: weighted(1, 1, 1, 1)}), keys)
	for s, share := range count(even) {
		if math.Abs(share-0.25) > 0.015 {
			t.Errorf("%s has %.3f of the keys, want a quarter", s, share)
		}
	}
	double := hashed(group(&logBuffer{}, Config{Balance: Hash, Servers: weighted(2, 1, 1, 1)}), keys)
	for s, share := range count(double) {
		if want := map[bool]float64{true: 0.4, false: 0.2}[s == "a"]; math.Abs(share-want) > 0.015 {
			t.Errorf("%s has %.3f of the keys, want %v", s, share, want)
		}
	}
	uneven := hashed(group(&logBuffer{}, Config{Balance: Hash, Servers: weighted(3, 1, 1, 1)}), keys)
	for i := range double {
		if double[i] != uneven[i] && uneven[i] != "a" {
			t.Fatalf("key %d moved from %s to %s, when a's weight grew", i, double[i], uneven[i])
		}
	}
}

// TestHashKeys: the text of a request decides; one without a text is balanced
// by least busy.
func TestHashKeys(t *testing.T) {
	g := group(&logBuffer{}, Config{Balance: Hash, Servers: numbered(5), Key: func(dst []byte, r *http.Request) []byte {
		return append(dst, r.Header.Get("X-Tenant")...)
	}})
	ask := func(tenant string) string {
		x := exchangeOf("GET")
		x.r.Header.Set("X-Tenant", tenant)
		s, resp, err := g.send(t.Context(), x)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		g.done(s, nil)
		return s.address
	}
	one := ask("one")
	different := false
	for i := range 20 {
		if got := ask("one"); got != one {
			t.Errorf("got %s, before it was %s", got, one)
		}
		different = different || ask(fmt.Sprint(i)) != one
	}
	if !different {
		t.Error("all tenants have one server")
	}
	seen := map[string]int{}
	for range 10 {
		seen[ask("")]++
	}
	if len(seen) != 5 {
		t.Errorf("without a text: %v", seen)
	}

	// When its server has no room the next in line for the text gets it, and
	// always the same.
	for _, s := range g.servers {
		s.limit = 1
	}
	w := &want{key: keyOf("one"), keyed: true}
	first := g.lendNow(w)
	second := g.lendNow(w)
	g.release(second)
	if first.address != one || second == first || g.lendNow(w) != second {
		t.Error("the second choice changes")
	}
}
