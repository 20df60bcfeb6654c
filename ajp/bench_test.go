package ajp

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"testing"

	"millrace/gateway"
)

var hello = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h["Content-Type"] = []string{"text/plain"}
	h["Content-Length"] = []string{"5"}
	_, _ = io.WriteString(w, "hello")
})

// browser is a request with the headers of one.
func browser() []byte {
	return request("GET", "/", field{"Host", "example.org"}, field{"User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"},
		field{"Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}, field{"Accept-Language", "en-US,en;q=0.5"},
		field{"Accept-Encoding", "gzip, deflate, br, zstd"}, field{"Cookie", "sessionid=0123456789abcdef0123456789abcdef"}, field{"Upgrade-Insecure-Requests", "1"})
}

// BenchmarkServer is one kept connection, a request at a time.
func BenchmarkServer(b *testing.B) {
	for _, network := range []string{"tcp", "unix"} {
		b.Run(network, func(b *testing.B) {
			s := start(b, network, &Server{Handler: hello})
			c, err := net.Dial(s.network, s.address)
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			out, in := browser(), make([]byte, 4096)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Write(out); err != nil {
					b.Fatal(err)
				}
				for n := 0; !bytes.HasSuffix(in[:n], []byte{'A', 'B', 0, 2, typeEndResponse, 1}); {
					m, err := c.Read(in[n:])
					if n += m; err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}

// BenchmarkClient is against a back end that does nothing but answer.
func BenchmarkClient(b *testing.B) {
	for _, kept := range []bool{true, false} {
		b.Run(map[bool]string{true: "kept", false: "dialled"}[kept], func(b *testing.B) {
			answer, _ := appendHead(nil, 200, http.Header{"Content-Type": {"text/plain"}, "Content-Length": {"5"}}, DefaultPacketSize, false)
			answer = appendEnd(appendBodyChunk(answer, "hello"), true)
			c := backEnd(b, func(n int, p *peer) {
				for {
					if _, ok, _ := p.in.take(); !ok {
						if p.in.fill() != nil {
							return
						}
						continue
					}
					if _, err := p.Write(answer); err != nil {
						return
					}
				}
			})
			if !kept {
				c.MaxIdle = -1
			}
			f, err := parseForward(browser()[headerSize:])
			if err != nil {
				b.Fatal(err)
			}
			params, _, err := f.params(nil, false)
			if err != nil {
				b.Fatal(err)
			}
			req := &gateway.Request{Params: params}
			buf := make([]byte, 512)
			b.ReportAllocs()
			for b.Loop() {
				resp, err := c.RoundTrip(b.Context(), req)
				if err != nil {
					b.Fatal(err)
				}
				for err == nil {
					_, err = resp.Body.Read(buf)
				}
				resp.Body.Close()
			}
		})
	}
}

// BenchmarkBodies are 1 MiB up and down at once.
func BenchmarkBodies(b *testing.B) {
	for name, size := range map[string]int{"8KiB": DefaultPacketSize, "64KiB": MaxPacketSize} {
		b.Run(name, func(b *testing.B) {
			s := start(b, "tcp", &Server{PacketSize: size, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(w, r.Body)
			})})
			c := &Client{Address: s.target(), PacketSize: size}
			defer c.Close()
			body := noise(1 << 20)
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				resp, err := c.RoundTrip(b.Context(), post(bytes.NewReader(body), len(body)))
				if err != nil {
					b.Fatal(err)
				}
				if n, err := io.Copy(io.Discard, resp.Body); n != int64(len(body)) || err != nil {
					b.Fatal(n, err)
				}
				resp.Body.Close()
			}
		})
	}
}

func BenchmarkParseRequest(b *testing.B) {
	packet := browser()
	b.ReportAllocs()
	for b.Loop() {
		f, err := parseForward(packet[headerSize:])
		if err != nil {
			b.Fatal(err)
		}
		if _, _, err := f.params(nil, false); err != nil {
			b.Fatal(err)
		}
	}
}
