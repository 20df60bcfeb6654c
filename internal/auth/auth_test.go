package auth

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

const (
	passHash  = "$2y$05$xn.yxYIi6MsWZRzp0nrlA.wilWlXYn4Wn9kwWSk7NxVOg0Mk1KIsq" // pass
	wordsHash = "$apr1$rxjLNR8d$3luAsUKBzak7zlf0yuCnY/"                        // pä:ss wörd
)

func basicHeader(credentials string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(credentials))
}

func users(t testing.TB, hashes map[string]string) *Users {
	t.Helper()
	u, err := NewUsers(hashes, nil)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// unread fails the test when a body is asked for.
type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.t.Error("the body of a request that is refused was read")
	return 0, io.EOF
}

func TestBasic(t *testing.T) {
	b := &Basic{
		Realm: "The mill", Verifier: NewVerifier(1),
		Users: users(t, map[string]string{"jo": passHash, "jörg": wordsHash}),
		Verified: func(r *http.Request, user string) *http.Request {
			r.URL.Fragment = user
			return r
		},
	}
	h := b.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.URL.Fragment) }))
	long := strings.Repeat("x", maxPassword+1)
	for _, test := range []struct {
		name    string
		headers []string
		user    string // "": 401
	}{
		{"nothing", nil, ""},
		{"right", []string{basicHeader("jo:pass")}, "jo"},
		{"right, again", []string{basicHeader("jo:pass")}, "jo"},
		{"a scheme in other letters", []string{"bASIC  " + basicHeader("jo:pass")[6:]}, "jo"},
		{"UTF-8 and a colon", []string{basicHeader("jörg:pä:ss wörd")}, "jörg"},
		{"wrong", []string{basicHeader("jo:passe")}, ""},
		{"wrong, again", []string{basicHeader("jo:passe")}, ""},
		{"another's", []string{basicHeader("jo:pä:ss wörd")}, ""},
		{"nobody", []string{basicHeader("joe:pass")}, ""},
		{"no name", []string{basicHeader(":pass")}, ""},
		{"no password", []string{basicHeader("jo:")}, ""},
		{"no colon", []string{basicHeader("jo")}, ""},
		{"twice", []string{basicHeader("jo:pass"), basicHeader("jo:pass")}, ""},
		{"another scheme", []string{"Digest " + basicHeader("jo:pass")[6:]}, ""},
		{"no scheme", []string{basicHeader("jo:pass")[6:]}, ""},
		{"empty", []string{""}, ""},
		{"the scheme alone", []string{"Basic "}, ""},
		{"a name in other letters", []string{basicHeader("Jo:pass")}, ""},
		{"not base64", []string{"Basic ===="}, ""},
		{"a tail", []string{basicHeader("jo:pass") + " x"}, ""},
		{"a line feed", []string{basicHeader("jo:pass\n")}, ""},
		{"NUL", []string{basicHeader("jo\x00:pass")}, ""},
		{"not UTF-8", []string{basicHeader("jo:pass\xff")}, ""},
		{"too long", []string{basicHeader("jo:" + long)}, ""},
	} {
		r := httptest.NewRequest("POST", "/", unread{t})
		r.Header["Authorization"] = test.headers
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		challenge := w.Header().Get("WWW-Authenticate")
		if test.user == "" {
			if w.Code != http.StatusUnauthorized || challenge != `Basic realm="The mill", charset="UTF-8"` {
				t.Errorf("%s: %d, %q; want 401 and a challenge", test.name, w.Code, challenge)
			}
		} else if w.Code != http.StatusOK || w.Body.String() != test.user || challenge != "" {
			t.Errorf("%s: %d %q, %q; want %s", test.name, w.Code, w.Body, challenge, test.user)
		}
	}
	if n := len(b.Verifier.cache.when); n != 2 {
		t.Errorf("%d passwords are remembered, of 2 that were right", n)
	}
}

// counted is a user whose comparisons are counted and take their time.
type counted struct {
	mu             sync.Mutex
	n, now, atOnce int
	took           time.Duration
}

func (c *counted) is(password string) bool {
	c.mu.Lock()
	c.n++
	c.now++
	c.atOnce = max(c.atOnce, c.now)
	c.mu.Unlock()
	time.Sleep(c.took) // in a bubble
	c.mu.Lock()
	c.now--
	c.mu.Unlock()
	return password == "right"
}

func verifyAs(v *Verifier, u *Users, remote, user, password string) verdict {
	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr = remote
	return v.verify(r, u, user, password)
}

// A password that was right is not compared again for a while, one that was
// wrong each time, and a name that nobody has costs a comparison as well.
func TestRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &counted{}
		u := &Users{fixed: newTable(map[string]entry{"jo": {"hash", c.is}})}
		v := NewVerifier(1)
		for _, step := range []struct {
			user, password string
			wait           time.Duration
			want           verdict
			n              int
		}{
			{"jo", "right", 0, right, 1},
			{"jo", "right", cacheAge - 1, right, 1},
			{"jo", "right", 1, right, 2}, // too old
			{"jo", "wrong", 0, wrong, 3},
			{"jo", "wrong", 0, wrong, 4},
			{"nobody", "right", 0, wrong, 5},
			{"nobody", "right", 0, wrong, 6},
			{"jo", "right", 0, right, 6},
		} {
			time.Sleep(step.wait)
			if got := verifyAs(v, u, "192.0.2.1:1", step.user, step.password); got != step.want || c.n != step.n {
				t.Errorf("%s, %s: %d after %d comparisons; want %d after %d", step.user, step.password, got, c.n, step.want, step.n)
			}
		}
		u.fixed = newTable(map[string]entry{"jo": {"another hash", c.is}})
		if verifyAs(v, u, "192.0.2.1:1", "jo", "right"); c.n != 7 {
			t.Error("a password is remembered whose hash has changed")
		}
	})
}

func TestCacheIsBounded(t *testing.T) {
	c := newCache()
	start := time.Now()
	for i := range 3 * cacheSize {
		c.add(c.digest(fmt.Sprint(i), "", ""), start.Add(time.Duration(i)))
	}
	if len(c.when) != cacheSize {
		t.Errorf("%d are remembered, at most %d may be", len(c.when), cacheSize)
	}
	if c.digest("a", "bc", "") == c.digest("ab", "c", "") || c.digest("a", "b", "c") == newCache().digest("a", "b", "c") {
		t.Error("two digests are one")
	}
}

// When the one that compares leaves, another one does.
func TestLeaderLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &counted{took: time.Minute}
		u := &Users{fixed: newTable(map[string]entry{"jo": {"hash", c.is}})}
		v := NewVerifier(1)
		go verifyAs(v, u, "192.0.2.9:1", "jo", "another") // takes the one slot
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		r := httptest.NewRequest("GET", "/", nil).WithContext(ctx)
		leader, follower := make(chan verdict, 1), make(chan verdict, 1)
		go func() { leader <- v.verify(r, u, "jo", "right") }()
		synctest.Wait()
		go func() { follower <- verifyAs(v, u, "192.0.2.1:1", "jo", "right") }()
		synctest.Wait()
		cancel()
		if a, b := <-leader, <-follower; a != left || b != right {
			t.Errorf("the one that left gets %d, the other one %d", a, b)
		}
	})
}

// Hashes are computed a few at a time, one client waits for few of them, and a
// client that leaves makes room.
func TestFewAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &counted{took: time.Minute}
		u := &Users{fixed: newTable(map[string]entry{"jo": {"hash", c.is}})}
		v := NewVerifier(2)
		got := make([]int, 4)
		var mu sync.Mutex
		ask := func(remote string) {
			verdict := verifyAs(v, u, remote, "jo", "wrong for "+remote)
			mu.Lock()
			got[verdict]++
			mu.Unlock()
		}
		for i := range 12 {
			go ask(fmt.Sprintf("[2001:db8::%x]:1", i+1)) // one client: a network of 64 bits
		}
		synctest.Wait()
		if got[busy] != 12-maxPerClient {
			t.Errorf("%d of one client's 12 are refused, want all but %d", got[busy], maxPerClient)
		}
		for i := range maxWaiting {
			go ask(fmt.Sprintf("10.0.%d.1:1", i))
		}
		synctest.Wait()
		if got[busy] != 12 {
			t.Errorf("%d are refused of 12 and %d; at most %d may wait", got[busy], maxWaiting, maxWaiting)
		}
		// Who waits for the same comparison needs no room of its own.
		for range 100 {
			go ask("10.0.1.1:1")
		}
		synctest.Wait()
		if got[busy] != 12 {
			t.Errorf("%d are refused after the same was asked 100 times more", got[busy])
		}
		time.Sleep(maxWaiting * time.Minute)
		synctest.Wait()
		if c.atOnce != 2 || got[wrong] != maxWaiting+100 || c.n != maxWaiting || len(v.flights) != 0 || v.waiting != 0 || len(v.clients) != 0 {
			t.Errorf("%d at once, %d answered, %d and %d wait", c.atOnce, got[wrong], v.waiting, len(v.clients))
		}
	})
}

func TestUsersOfFile(t *testing.T) {
	const text = "# comment\r\n\n" +
		"jo:" + passHash + "\r\n" +
		"jo:" + wordsHash + "\n" + // the first holds
		"old:fmtOHXDS06poU\n" +
		"with:" + wordsHash + ":a comment: of anything\n" +
		"nothing\n" +
		":" + passHash + "\n" +
		"last:{SHA}nU4eI71bcnBGqeO0t9tXvY1u5oQ="
	tab, bad := parseFile("users", []byte(text))
	if fmt.Sprint(tab.names) != "[jo last with]" || tab.users["jo"].hash != passHash || tab.users["with"].hash != wordsHash {
		t.Errorf("the users are %v", tab.names)
	}
	var lines []string
	for _, err := range bad {
		lines = append(lines, strings.Join(strings.Split(err.Error(), ":")[:2], ":"))
	}
	if fmt.Sprint(lines) != "[users:5 users:7 users:8]" {
		t.Errorf("bad lines are %v", bad)
	}
}

// A file's users are there a second after it was written.
func TestFileChanges(t *testing.T) {
	path := filepath.Join(t.TempDir(), "htpasswd")
	write := func(text string) {
		if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := OpenFile(path, nil); err == nil {
		t.Error("a file that is not there is opened")
	}
	write("jo:fmtOHXDS06poU\n")
	if _, err := OpenFile(path, nil); err == nil || !strings.Contains(err.Error(), ":1: it is a hash of DES") {
		t.Errorf("a line that cannot be used: %v", err)
	}
	write("jo:" + passHash + "\n")
	var log bytes.Buffer
	f, err := OpenFile(path, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	f.now = func() time.Time { return now }
	u, err := NewUsers(map[string]string{"fixed": passHash}, f)
	if err != nil {
		t.Fatal(err)
	}
	who := func() string {
		var all []string
		for _, name := range []string{"fixed", "jo", "ann"} {
			if _, known, ok := u.find(name, 1); known && ok {
				all = append(all, name)
			}
		}
		return strings.Join(all, " ")
	}
	for _, step := range []struct {
		does string
		do   func()
		wait time.Duration
		want string
		says string
	}{
		{"nothing", func() {}, 0, "fixed jo", ""},
		{"another", func() { write("ann:" + wordsHash + "\n") }, 0, "fixed jo", ""}, // not looked at yet
		{"a second later", func() {}, fileAge, "fixed ann", "has changed"},
		{"a bad line", func() { write("ann:" + wordsHash + "\njo:plain\n") }, fileAge, "fixed ann", "plain text"},
		{"gone", func() { _ = os.Remove(path) }, fileAge, "fixed ann", "cannot read"},
		{"gone, still", func() {}, fileAge, "fixed ann", ""},
		{"back", func() { write("jo:" + passHash + "\n") }, fileAge, "fixed jo", "has changed"},
		{"written in place", func() {
			if err := os.WriteFile(path, []byte("ann:"+passHash+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, fileAge, "fixed ann", "has changed"},
		{"a folder", func() { _ = os.Remove(path); _ = os.Mkdir(path, 0o700) }, fileAge, "fixed ann", "cannot read"},
	} {
		log.Reset()
		step.do()
		now = now.Add(step.wait)
		if got := who(); got != step.want {
			t.Errorf("%s: users are %s, want %s", step.does, got, step.want)
		}
		if said := log.String(); step.says == "" && said != "" || !strings.Contains(said, step.says) {
			t.Errorf("%s: the log says %q, want %q", step.does, said, step.says)
		}
	}
}

func TestAddresses(t *testing.T) {
	prefixes := func(texts ...string) (all []netip.Prefix) {
		for _, text := range texts {
			all = append(all, netip.MustParsePrefix(text))
		}
		return all
	}
	inside := &Addresses{Allow: prefixes("10.0.0.0/8", "2001:db8::/32"), Deny: prefixes("10.1.0.0/16")}
	for _, test := range []struct {
		name   string
		list   *Addresses
		remote string
		want   bool
	}{
		{"none", &Addresses{}, "192.0.2.1:1", true},
		{"none", &Addresses{}, "@", true},
		{"allow", inside, "10.2.3.4:1", true},
		{"allow", inside, "[::ffff:10.2.3.4]:1", true},
		{"allow", inside, "[2001:db8::1%eth0]:1", true},
		{"allow", inside, "192.0.2.1:1", false},
		{"allow", inside, "[2001:db9::1]:1", false},
		{"allow", inside, "@", false},
		{"allow", inside, "", false},
		{"allow", inside, "10.2.3.4", false}, // no address that we wrote
		{"deny first", inside, "10.1.3.4:1", false},
		{"deny first", inside, "[::ffff:10.1.3.4]:1", false},
		{"deny alone", &Addresses{Deny: prefixes("10.0.0.0/8")}, "10.1.3.4:1", false},
		{"deny alone", &Addresses{Deny: prefixes("10.0.0.0/8")}, "11.1.3.4:1", true},
		{"deny alone", &Addresses{Deny: prefixes("10.0.0.0/8")}, "@", true},
		{"unix", &Addresses{AllowUnix: true}, "@", true},
		{"unix", &Addresses{AllowUnix: true}, "10.1.3.4:1", false},
		{"no unix", &Addresses{DenyUnix: true}, "@", false},
		{"no unix", &Addresses{DenyUnix: true}, "10.1.3.4:1", true},
	} {
		called := false
		h := test.list.Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { called = true }))
		r := httptest.NewRequest("POST", "/", unread{t})
		r.RemoteAddr = test.remote
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if called != test.want || (w.Code == http.StatusForbidden) == test.want {
			t.Errorf("%s, %s: %v, %d; want %v", test.name, test.remote, called, w.Code, test.want)
		}
	}
}

func FuzzCredentials(f *testing.F) {
	for _, seed := range []string{basicHeader("jo:pass"), basicHeader("jö:p:ä"), "Basic", "basic  am86", "Basic am86\n", "Digest x", "Basic am8="} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		user, password, ok := Credentials([]string{header})
		if !ok {
			return
		}
		if user == "" || strings.ContainsAny(user, ":\r\n\x00") || strings.ContainsAny(password, "\r\n\x00") || len(user) > maxUser || len(password) > maxPassword {
			t.Fatalf("%q gives %q and %q", header, user, password)
		}
		again, word, ok := Credentials([]string{basicHeader(user + ":" + password)})
		if !ok || again != user || word != password {
			t.Fatalf("%q and %q come back as %q and %q", user, password, again, word)
		}
	})
}

func FuzzUsersFile(f *testing.F) {
	for _, m := range made[:12] {
		f.Add("u:" + m.hash + "\n")
	}
	f.Add("# x\r\n\na:b:c\n:x\nu:$2y$31$\nu:$5$rounds=1$$\n")
	f.Fuzz(func(t *testing.T, text string) {
		tab, bad := parseFile("users", []byte(text))
		if len(bad) > maxBad || len(tab.names) != len(tab.users) {
			t.Fatalf("%d bad lines, %d names of %d users", len(bad), len(tab.names), len(tab.users))
		}
		for name, e := range tab.users {
			if CheckUser(name) != nil || CheckHash(e.hash) != nil || e.is == nil {
				t.Fatalf("user %q has the hash %q", name, e.hash)
			}
			again, bad := parseFile("again", []byte(name+":"+e.hash))
			if len(bad) > 0 && !strings.HasPrefix(name, "#") || len(bad) == 0 && again.users[name].hash != e.hash && !strings.HasPrefix(name, "#") {
				t.Fatalf("user %q with hash %q is not read again: %v", name, e.hash, bad)
			}
		}
	})
}

func BenchmarkRemembered(b *testing.B) {
	h := (&Basic{Verifier: NewVerifier(1), Users: users(b, map[string]string{"jo": passHash})}).Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Authorization", basicHeader("jo:pass"))
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
}
