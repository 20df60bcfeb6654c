package e2e

// Bodies without end, both ways at once: they pass in a memory that does not
// grow with them.

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/fcgi"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// streamed is how many bytes go each way. `make streams` has 5 GB.
func streamed(t *testing.T) int64 {
	said := os.Getenv("MILLRACE_STREAM_BYTES")
	if said == "" {
		return 192 << 20
	}
	n, err := strconv.ParseInt(said, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

const (
	streamBlock = 64 << 10

	// streamMemory is by how much the front's peak may grow while bodies pass:
	// what their buffers, those of the sockets' users and the garbage between two
	// collections take.
	streamMemory = 24 << 20
)

// numbered is a body of which each block says where it stands.
type numbered struct {
	left, at int64
	block    [streamBlock]byte
	rest     []byte
}

func (n *numbered) next() {
	copy(n.block[:], fmt.Sprintf("%020d", n.at))
	size := min(n.left, streamBlock)
	n.at += size
	n.left -= size
	n.rest = n.block[:size]
}

func (n *numbered) Read(p []byte) (int, error) {
	if len(n.rest) == 0 {
		if n.left == 0 {
			return 0, io.EOF
		}
		n.next()
	}
	k := copy(p, n.rest)
	n.rest = n.rest[k:]
	return k, nil
}

// Write compares what comes with what the body would be.
func (n *numbered) Write(p []byte) (int, error) {
	done := 0
	for done < len(p) {
		if len(n.rest) == 0 {
			if n.left == 0 {
				return done, fmt.Errorf("more than %d bytes", n.at)
			}
			n.next()
		}
		k := min(len(n.rest), len(p)-done)
		if !bytes.Equal(p[done:done+k], n.rest[:k]) {
			return done, fmt.Errorf("other bytes before %d", n.at)
		}
		n.rest = n.rest[k:]
		done += k
	}
	return done, nil
}

func TestStreamMemory(t *testing.T) {
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex() // FastCGI's has none, and needs none
		if _, err := io.Copy(w, r.Body); err != nil {
			panic(http.ErrAbortHandler)
		}
	})
	back := httptest.NewServer(echo)
	defer back.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go fcgi.Serve(l, echo)

	dir := t.TempDir()
	config := fmt.Sprintf(`
[[site]]
listen = ["127.0.0.1:0"]
[[site.route]]
path = "/http"
upstream = "http"
[[site.route]]
path = "/fastcgi"
upstream = "fastcgi"
[upstream.http]
protocol = "http"
servers = [%q]
max_body = "100GiB"
buffering = false
request_buffering = false
[upstream.fastcgi]
protocol = "fastcgi"
servers = [%q]
max_body = "100GiB"
buffering = false
request_buffering = false
`, back.Listener.Addr(), l.Addr())
	if err := os.WriteFile(filepath.Join(dir, "millrace.toml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	s := startWith(t, dir, 1)
	c := &http.Client{Transport: &http.Transport{DisableCompression: true}}
	defer c.CloseIdleConnections()

	pass := func(path string, size, length int64) time.Duration {
		t.Helper()
		req, err := http.NewRequest("POST", s.url+path, &numbered{left: size})
		if err != nil {
			t.Fatal(err)
		}
		req.ContentLength = length
		began := time.Now()
		resp, err := c.Do(req)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		defer resp.Body.Close()
		want := &numbered{left: size}
		n, err := io.Copy(want, resp.Body)
		if err != nil || n != size || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s, %d of %d bytes came back, %v", path, resp.Status, n, size, err)
		}
		return time.Since(began)
	}
	size := streamed(t)
	for _, kind := range []struct {
		path   string
		length int64 // -1: in chunks
	}{{"/http", -1}, {"/http", size}, {"/fastcgi", size}} {
		warm := int64(4 << 20)
		pass(kind.path, warm, min(kind.length, warm))
		before := s.memoryPeak()
		took := pass(kind.path, size, kind.length)
		after := s.memoryPeak()
		t.Logf("%s, length %d: %d bytes each way in %v; the peak of the front went from %d to %d KiB", kind.path, kind.length, size, took.Round(time.Millisecond), before>>10, after>>10)
		if after-before > streamMemory {
			t.Errorf("%s, length %d: the front's peak grew by %d KiB, more than %d", kind.path, kind.length, (after-before)>>10, streamMemory>>10)
		}
	}
}

// memoryPeak is the most that any of the server's processes ever held.
func (s *server) memoryPeak() (most int64) {
	s.t.Helper()
	for pid := range s.processes() {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			continue // it has ended
		}
		_, rest, _ := bytes.Cut(text, []byte("VmHWM:"))
		var kib int64
		if _, err := fmt.Sscanf(string(rest), "%d kB", &kib); err == nil {
			most = max(most, kib<<10)
		}
	}
	if most == 0 {
		s.t.Fatal("no process says what memory it held")
	}
	return most
}
