package ajp

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"

	"millrace/gateway"
)

// pairs runs a test with a client and a server of ours, over each network, with
// kept connections and fresh ones.
func pairs(t *testing.T, h http.HandlerFunc, test func(t *testing.T, c *http.Client, base string)) {
	for _, network := range []string{"tcp", "unix"} {
		for _, kept := range []bool{true, false} {
			for _, size := range []int{0, MaxPacketSize} {
				t.Run(fmt.Sprintf("%s,kept=%v,packet=%d", network, kept, size), func(t *testing.T) {
					s := start(t, network, &Server{Handler: h, Secret: "abc", PacketSize: size})
					c := &Client{Address: s.target(), Secret: "abc", PacketSize: size}
					if !kept {
						c.MaxIdle = -1
					}
					defer c.Close()
					test(t, &http.Client{Transport: gateway.Transport{RoundTripper: c}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, "http://example.org")
				})
			}
		}
	}
}

func noise(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(b)
	return b
}

func TestBothMethods(t *testing.T) {
	pairs(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		w.Header().Add("X-Multi", "1")
		w.Header().Add("X-Multi", "2")
		w.Header().Set("Content-Type", "text/plain")
		fmt.Fprintf(w, "%s %s %s %q %s", r.Method, r.RequestURI, r.Host, r.Header.Get("X-A"), b)
	}, func(t *testing.T, c *http.Client, base string) {
		for _, method := range []string{"GET", "POST", "PUT", "DELETE", "OPTIONS", "PROPFIND", "PATCH", "BREW"} {
			for _, body := range []string{"", "body"} {
				r, _ := http.NewRequest(method, base+"/a%2Fb/%C3%A9?x=%20", strings.NewReader(body))
				r.Header.Set("X-A", "é")
				resp, err := c.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				b, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				want := fmt.Sprintf("%s /a%%2Fb/%%C3%%A9?x=%%20 example.org %q %s", method, "é", body)
				if string(b) != want || err != nil || len(resp.Header["X-Multi"]) != 2 {
					t.Errorf("%q, %v; want %q", b, err, want)
				}
			}
		}
	})
}

func TestBothStatuses(t *testing.T) {
	pairs(t, func(w http.ResponseWriter, r *http.Request) {
		status := 0
		_, _ = fmt.Sscanf(r.URL.Path, "/%d", &status)
		if status == 302 {
			w.Header().Set("Location", "/there")
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "body")
	}, func(t *testing.T, c *http.Client, base string) {
		for status, body := range map[int]string{200: "body", 204: "", 302: "body", 304: "", 404: "body", 503: "body", 599: "body"} {
			for _, method := range []string{"GET", "HEAD"} {
				r, _ := http.NewRequest(method, fmt.Sprintf("%s/%d", base, status), nil)
				resp, err := c.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				b, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if want := map[bool]string{true: body}[method == "GET"]; resp.StatusCode != status || string(b) != want || err != nil {
					t.Errorf("%s: %d %q, %v; want %d %q", method, resp.StatusCode, b, err, status, want)
				}
				if status == 302 && resp.Header.Get("Location") != "/there" {
					t.Errorf("Location %q", resp.Header.Get("Location"))
				}
			}
		}
	})
}

// 10 MB up and down at the same time: a handler that answers as it reads.
func TestBothLargeBodies(t *testing.T) {
	body := noise(10 << 20)
	want := sha256.Sum256(body)
	pairs(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/length" {
			w.Header().Set("Content-Length", fmt.Sprint(r.ContentLength))
		}
		if _, err := io.Copy(w, r.Body); err != nil {
			t.Error(err)
		}
	}, func(t *testing.T, c *http.Client, base string) {
		for _, path := range []string{"/", "/length"} {
			resp, err := c.Post(base+path, "application/octet-stream", bytes.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			hash := sha256.New()
			n, err := io.Copy(hash, resp.Body)
			resp.Body.Close()
			if err != nil || !bytes.Equal(hash.Sum(nil), want[:]) {
				t.Errorf("%d bytes, %v", n, err)
			}
		}
	})
}

// Every size around the bounds of a packet.
func TestBothSizes(t *testing.T) {
	body := noise(MaxPacketSize * 2)
	pairs(t, func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		_, _ = w.Write(b)
	}, func(t *testing.T, c *http.Client, base string) {
		for _, edge := range []int{0, DefaultPacketSize, 2 * DefaultPacketSize, sendSize, MaxPacketSize} {
			for n := max(edge-18, 0); n < edge+3; n++ {
				resp, err := c.Post(base, "application/octet-stream", bytes.NewReader(body[:n]))
				if err != nil {
					t.Fatal(n, err)
				}
				b, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil || !bytes.Equal(b, body[:n]) {
					t.Fatalf("%d bytes of %d, %v", len(b), n, err)
				}
			}
		}
	})
}

func TestBothHeaders(t *testing.T) {
	pairs(t, func(w http.ResponseWriter, r *http.Request) {
		for name, values := range r.Header {
			if strings.HasPrefix(name, "X-") {
				w.Header()[name] = values
			}
		}
	}, func(t *testing.T, c *http.Client, base string) {
		r, _ := http.NewRequest("GET", base, nil)
		for i := range 100 {
			r.Header.Set(fmt.Sprintf("X-%d", i), fmt.Sprint(i))
		}
		resp, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		for i := range 100 {
			if got := resp.Header.Get(fmt.Sprintf("X-%d", i)); got != fmt.Sprint(i) {
				t.Errorf("X-%d: %q", i, got)
			}
		}
		r.Header.Set("X-Large", strings.Repeat("x", 70000))
		if _, err := c.Do(r); !errors.Is(err, gateway.ErrTooLarge) {
			t.Errorf("70000 bytes: %v", err)
		}
	})
}

func TestBothStreaming(t *testing.T) {
	on := make(chan struct{})
	pairs(t, func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		for i := range 3 {
			fmt.Fprint(w, i)
			if err := rc.Flush(); err != nil {
				t.Error(err)
			}
			<-on
		}
	}, func(t *testing.T, c *http.Client, base string) {
		resp, err := c.Get(base)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		for i := range 3 {
			b := make([]byte, 10)
			n, err := resp.Body.Read(b)
			if string(b[:n]) != fmt.Sprint(i) || err != nil {
				t.Fatalf("%q, %v", b[:n], err)
			}
			on <- struct{}{}
		}
		if b, err := io.ReadAll(resp.Body); len(b) != 0 || err != nil {
			t.Errorf("%q, %v", b, err)
		}
	})
}

func TestBothAborts(t *testing.T) {
	cancelled := make(chan struct{})
	pairs(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/cut":
			_, _ = io.WriteString(w, "part")
			panic(http.ErrAbortHandler)
		case "/panic":
			panic("boo")
		default:
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
			cancelled <- struct{}{}
		}
	}, func(t *testing.T, c *http.Client, base string) {
		ctx, cancel := context.WithCancel(t.Context())
		r, _ := http.NewRequestWithContext(ctx, "GET", base, nil)
		resp, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		<-cancelled
		resp.Body.Close()
		if resp, err = c.Get(base); err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		<-cancelled
		if resp, err = c.Get(base + "/panic"); err != nil || resp.StatusCode != 500 {
			t.Fatalf("%+v, %v", resp, err)
		}
		resp.Body.Close()
		// What was not flushed is not sent: the front server can still answer.
		if _, err = c.Get(base + "/cut"); !errors.Is(err, gateway.ErrNotAnswered) {
			t.Error(err)
		}
	})
}

func TestBothAtOnce(t *testing.T) {
	pairs(t, echo, func(t *testing.T, c *http.Client, base string) {
		var all sync.WaitGroup
		for i := range 16 {
			all.Go(func() {
				for j := range 20 {
					body := strings.Repeat(fmt.Sprint(i, j, "."), (i*j*37)%4000)
					resp, err := c.Post(base, "text/plain", strings.NewReader(body))
					if err != nil {
						t.Error(err)
						return
					}
					b, err := io.ReadAll(resp.Body)
					resp.Body.Close()
					if string(b) != "POST / "+body || err != nil {
						t.Errorf("%d bytes, %v", len(b), err)
					}
				}
			})
		}
		all.Wait()
	})
}

// A request from another front server goes on to the back end as it came.
func TestBothInAChain(t *testing.T) {
	var front *gateway.Front
	back := start(t, "tcp", &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		front = gateway.FrontOf(r.Context())
		_, _ = io.Copy(w, r.Body)
	})})
	c := &Client{Address: back.target()}
	defer c.Close()
	s := start(t, "tcp", &Server{Handler: &gateway.Handler{RoundTripper: c}})
	p := s.dial()
	f := &forward{method: "POST", protocol: "HTTP/1.1", uri: "/a%2Fb", remoteAddr: "192.0.2.7", serverName: "example.org", serverPort: 443, ssl: true,
		headers:    []field{{"Host", "example.org"}, {"Transfer-Encoding", "chunked"}},
		attributes: []attribute{{code: attrRemoteUser, value: "joe"}, {code: attrSSLKeySize, size: 256}, {code: attrRequest, name: "AJP_REMOTE_PORT", value: "4711"}}}
	b, _ := f.append(nil, DefaultPacketSize)
	p.send(b)
	p.expect("06 1ffa")
	p.send(appendChunk(nil, []byte("hello")))
	p.expect("06 1ffa")
	p.send(appendChunk(nil, nil))
	if a := p.answer(); a.body != "hello" {
		t.Errorf("%+v", a)
	}
	for name, want := range map[string]string{"REMOTE_USER": "joe", "SSL_CIPHER_USEKEYSIZE": "256", "REMOTE_PORT": "4711", "HTTPS": "on", "REQUEST_URI": "/a%2Fb", "CONTENT_LENGTH": "5", "REMOTE_ADDR": "192.0.2.7"} {
		if got, _ := gateway.Lookup(front.Params, name); got != want {
			t.Errorf("%s = %q; want %q", name, got, want)
		}
	}
}
