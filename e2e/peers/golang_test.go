package peers

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/fcgi"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"millrace/internal/testkit"
)

// listener opens a socket, as an address for a client and as a file that a
// program can get for its descriptor 0.
func listener(t *testing.T, transport, dir string) (address string, file *os.File) {
	t.Helper()
	var err error
	if transport == "tcp" {
		l, listenErr := net.Listen("tcp", testkit.Loopback()+":0")
		if listenErr != nil {
			t.Fatal(listenErr)
		}
		defer l.Close()
		address = l.Addr().String()
		file, err = l.(*net.TCPListener).File()
	} else {
		path := filepath.Join(dir, "s")
		l, listenErr := net.Listen("unix", path)
		if listenErr != nil {
			t.Fatal(listenErr)
		}
		l.(*net.UnixListener).SetUnlinkOnClose(false)
		defer l.Close()
		address = "unix:" + path
		file, err = l.(*net.UnixListener).File()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	return address, file
}

func fileListener(file *os.File) (net.Listener, error) { return net.FileListener(file) }

// mirrorGo is the mirror as a Go handler, for net/http/fcgi.
func mirrorGo(t *testing.T) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		switch q.Get("do") {
		case "status":
			code, _ := strconv.Atoi(q.Get("code"))
			w.WriteHeader(code)
			if code != 204 && code != 304 {
				fmt.Fprintln(w, "status")
			}
			return
		case "redirect":
			w.Header().Set("Location", q.Get("to"))
			w.WriteHeader(http.StatusFound)
			return
		case "big":
			size, _ := strconv.Atoi(q.Get("size"))
			if q.Has("length") {
				w.Header().Set("Content-Length", q.Get("size"))
			}
			var block bytes.Buffer
			for n := range 8192 {
				fmt.Fprintf(&block, "%07d\n", n)
			}
			for ; size > 0; size -= block.Len() {
				_, _ = w.Write(block.Bytes()[:min(size, block.Len())]) // an error: the client has left
			}
			return
		case "headers":
			for n := range 100 {
				w.Header().Set("X-H"+strconv.Itoa(n), "v"+strconv.Itoa(n))
			}
			return
		case "stream":
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, "one\n")
			w.(http.Flusher).Flush()
			text, err := os.ReadFile(q.Get("gate"))
			if err != nil {
				t.Error(err)
			}
			_, _ = w.Write(text)
			return
		case "endless":
			for {
				if _, err := w.Write(make([]byte, 65536)); err != nil {
					break
				}
			}
			if err := os.WriteFile(q.Get("file"), []byte("closed"), 0o644); err != nil {
				t.Error(err)
			}
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		sum := sha256.Sum256(body)
		environ := fcgi.ProcessEnv(r)
		for name, values := range r.Header {
			environ["HTTP_"+envName(name)] = values[0]
		}
		environ["REQUEST_METHOD"], environ["QUERY_STRING"], environ["SERVER_PROTOCOL"] = r.Method, r.URL.RawQuery, r.Proto
		host, _, _ := net.SplitHostPort(r.RemoteAddr)
		environ["REMOTE_ADDR"] = host
		environ["PATH_INFO"], environ["SCRIPT_NAME"] = latin(r.URL.Path), ""
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(mirrored{Environ: environ, Length: len(body), SHA256: hex.EncodeToString(sum[:])})
	})
}

// envName is the CGI name of a header.
func envName(header string) string {
	b := []byte(header)
	for i, c := range b {
		switch {
		case c == '-':
			b[i] = '_'
		case 'a' <= c && c <= 'z':
			b[i] = c - 'a' + 'A'
		}
	}
	return string(b)
}

// latin is PEP 3333's form of a string: its bytes as code points.
func latin(s string) string {
	runes := make([]rune, len(s))
	for i := range len(s) {
		runes[i] = rune(s[i])
	}
	return string(runes)
}
