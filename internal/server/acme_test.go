package server

import (
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// tool is a program that scripts/setup.sh installs.
func tool(t *testing.T, name string) string {
	t.Helper()
	cache := "../../.cache"
	path, err := filepath.Abs(cache + "/bin/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(cache + "/acme.stamp"); err == nil {
			t.Fatalf("%s was installed, and is gone", path)
		}
		t.Skipf("no %s: run scripts/setup.sh", name)
	}
	return path
}

// run runs a program until the test's end, or until stop is called.
func run(t *testing.T, env []string, path string, args ...string) (stop func()) {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = append(os.Environ(), env...), log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		log.Close()
		if t.Failed() {
			b, _ := os.ReadFile(log.Name())
			t.Logf("%s said:\n%s", filepath.Base(path), b)
		}
	}
	t.Cleanup(stop)
	return stop
}

// freePorts are of this machine, TCP and UDP, below those that the system gives
// to clients: other tests have many.
func freePorts(t *testing.T, n int) []string {
	t.Helper()
	var ports []string
	for len(ports) < n {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(10_000)))
		if errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		ports = append(ports, fmt.Sprint(l.Addr().(*net.TCPAddr).Port))
	}
	return ports
}

// pebble is an ACME authority for every name but blocked.test, which all lead
// to this machine.
type pebble struct {
	directory, plain, secure string // its URL; the ports at which it looks
	stop                     func()
}

func startPebble(t *testing.T, a *authority, dir string, validity time.Duration) *pebble {
	t.Helper()
	server, dns := tool(t, "pebble"), tool(t, "pebble-challtestsrv")
	a.issue(t, dir, "pebble", false, "127.0.0.1")
	write(t, dir+"/roots.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})))
	ports := freePorts(t, 6)
	config := map[string]any{"pebble": map[string]any{
		"listenAddress": "127.0.0.1:" + ports[0], "managementListenAddress": "127.0.0.1:" + ports[1],
		"certificate": dir + "/pebble.pem", "privateKey": dir + "/pebble.key",
		"httpPort": port(ports[2]), "tlsPort": port(ports[3]), "domainBlocklist": []string{"blocked.test"},
		"retryAfter": map[string]int{"authz": 1, "order": 1}, "keyAlgorithm": "ecdsa",
		"profiles": map[string]any{"default": map[string]any{"description": "default", "validityPeriod": int(validity.Seconds())}},
	}}
	b, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir+"/pebble.json", string(b))
	run(t, nil, dns, "-defaultIPv6", "", "-dnsserver", "127.0.0.1:"+ports[4], "-management", "127.0.0.1:"+ports[5], "-http01", "", "-https01", "", "-tlsalpn01", "", "-doh", "")
	p := &pebble{directory: "https://127.0.0.1:" + ports[0] + "/dir", plain: ports[2], secure: ports[3]}
	p.stop = run(t, []string{"PEBBLE_VA_NOSLEEP=1", "PEBBLE_WFE_NONCEREJECT=0"}, server, "-config", dir+"/pebble.json", "-dnsserver", "127.0.0.1:"+ports[4])
	c := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: a.roots}, DisableKeepAlives: true}}
	eventually(t, "the authority answers", func() bool {
		res, err := c.Get(p.directory)
		if err == nil {
			res.Body.Close()
		}
		return err == nil
	})
	return p
}

func port(text string) (n int) {
	_, _ = fmt.Sscan(text, &n)
	return n
}

// plan is a site with certificates from the authority.
func (p *pebble) plan(t *testing.T, dir, challenge string, hosts ...string) *Plan {
	t.Helper()
	quoted, _ := json.Marshal(hosts)
	return parse(t, dir, fmt.Sprintf(`
[[site]]
listen = ["127.0.0.1:%s"]
hosts = %s
root = "{dir}/two"
[site.tls]
plain = ["127.0.0.1:%s"]
http3 = false
acme = { directory = %q, ca = "{dir}/roots.pem", storage = "{dir}/acme", email = "me@example.com", challenges = [%q] }
`, p.secure, quoted, p.plain, p.directory, challenge))
}

// serial is the number of the certificate of a name; 0: there is none.
func serial(t *testing.T, address, name string) string {
	t.Helper()
	c, err := tls.Dial("tcp", address, &tls.Config{ServerName: name, InsecureSkipVerify: true})
	if err != nil {
		return ""
	}
	defer c.Close()
	leaf := c.ConnectionState().PeerCertificates[0]
	if err := leaf.VerifyHostname(name); err != nil {
		t.Error(err)
	}
	return leaf.SerialNumber.String()
}

// TestACME: certificates come by either challenge, are the folder's owner's
// alone, are kept over a restart, and are renewed.
func TestACME(t *testing.T) {
	for _, challenge := range []string{"http-01", "tls-alpn-01"} {
		t.Run(challenge, func(t *testing.T) {
			t.Parallel() // most of it is the authority's waiting
			// Names of its own: certmagic knows the challenges of a process by them.
			name := func(host string) string { return host + "." + challenge + ".test" }
			dir, a := t.TempDir(), newAuthority(t)
			write(t, dir+"/two/index.html", "second")
			p := startPebble(t, a, dir, time.Hour)
			at := "127.0.0.1:" + p.secure
			s := launch(t, p.plan(t, dir, challenge, name("a"), name("b")), newFakeApps())
			var first string
			waitFor(t, 40*time.Second, "both names have a certificate", func() bool {
				first = serial(t, at, name("a"))
				return first != "" && serial(t, at, name("b")) != ""
			})
			if !strings.Contains(s.log.String(), "got a certificate") || !strings.Contains(s.log.String(), "host="+name("b")) {
				t.Errorf("the log does not say so:\n%s", s.log.String())
			}
			wantPrivate(t, dir+"/acme")
			if err := s.reloadTo(p.plan(t, dir, challenge, name("a"), name("c"))); err != nil {
				t.Fatal(err)
			}
			waitFor(t, 40*time.Second, "a name that was added has one", func() bool { return serial(t, at, name("c")) != "" })
			if got := serial(t, at, name("b")); got != "" {
				t.Error("a name that is gone has one")
			}
			<-s.Stop()
			p.stop()
			launch(t, p.plan(t, dir, challenge, name("a")), newFakeApps())
			waitFor(t, 10*time.Second, "the certificate is there after a restart, without the authority", func() bool { return serial(t, at, name("a")) == first })
		})
	}
}

// wantPrivate looks at the rights of all that is in a folder.
func wantPrivate(t *testing.T, folder string) {
	t.Helper()
	keys := 0
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a lock that was given up
		}
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s is %v", path, info.Mode())
		}
		if strings.HasSuffix(path, ".key") {
			keys++
		}
		return nil
	})
	if err != nil || keys == 0 {
		t.Errorf("%d keys, %v", keys, err)
	}
}

// waitFor is eventually for what takes another program's time.
func waitFor(t *testing.T, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(limit)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
		<-tick.C
	}
}

func TestACMERenewal(t *testing.T) {
	dir, a := t.TempDir(), newAuthority(t)
	write(t, dir+"/two/index.html", "second")
	p := startPebble(t, a, dir, 12*time.Second)
	s := unlaunched(t, Options{Plan: p.plan(t, dir, "http-01", "a.test")}, newFakeApps())
	s.acme.Look = 200 * time.Millisecond
	s.launch()
	<-s.Started()
	at := "127.0.0.1:" + p.secure
	var first string
	waitFor(t, 40*time.Second, "there is a certificate", func() bool { first = serial(t, at, "a.test"); return first != "" })
	waitFor(t, 60*time.Second, "it is renewed", func() bool { now := serial(t, at, "a.test"); return now != "" && now != first })
	if !strings.Contains(s.log.String(), "got the renewal of a certificate") {
		t.Errorf("the log does not say so:\n%s", s.log.String())
	}
}

// TestACMERefused: the log says what the authority has said, and the other
// sites are served.
func TestACMERefused(t *testing.T) {
	a, dir := secureSite(t)
	p := startPebble(t, a, dir, time.Hour)
	plan := p.plan(t, dir, "http-01", "blocked.test")
	s := launch(t, plan, newFakeApps())
	waitFor(t, 40*time.Second, "the log says why", func() bool {
		return strings.Contains(s.log.String(), "cannot get a certificate; it is tried again by itself") && strings.Contains(s.log.String(), "host=blocked.test")
	})
	if got := serial(t, "127.0.0.1:"+p.secure, "blocked.test"); got != "" {
		t.Error("there is a certificate")
	}
}

// TestACMEStorage: a folder that cannot be used is said before anything starts.
func TestACMEStorage(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/two/index.html", "second")
	plan := parse(t, dir, "[[site]]\nlisten = \"127.0.0.1:0\"\nhosts = \"a.test\"\nroot = \"{dir}/two\"\ntls = { acme = { storage = \"{dir}/acme\" } }\n")
	write(t, dir+"/acme", "not a folder")
	s := unlaunched(t, Options{Plan: plan}, newFakeApps())
	var why interface{ Hint() string }
	if err := s.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "cannot keep certificates in "+dir+"/acme") || !errors.As(err, &why) {
		t.Errorf("Run: %v", err)
	}
}
