package fcgi

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"reflect"
	"sync"
	"testing"
	"time"

	"millrace/gateway"
)

// scripted is a client of a program that answers each connection with what r
// has.
func scripted(r io.Reader) *Client {
	return &Client{Address: "script", Reuse: ReuseNever, Dial: func(context.Context) (net.Conn, error) {
		return &memoryConn{in: r}, nil
	}}
}

// FuzzPairs: what is decoded is encoded as it was, or shorter where a length
// took four bytes that one holds.
func FuzzPairs(f *testing.F) {
	f.Add([]byte("\x04\x05NAMEvalue"))
	f.Add([]byte("\x01\x80\x00\x00\x80N" + string(bytes.Repeat([]byte("v"), 128))))
	f.Add([]byte("\xff\xff\xff\xff\xff\xff\xff\xffN"))
	f.Add([]byte("\x80\x00\x00\x01\x00N"))
	f.Fuzz(func(t *testing.T, b []byte) {
		params, err := AppendPairs(nil, b)
		var again []byte
		for _, p := range params {
			again = AppendPair(again, p.Name, p.Value)
		}
		if len(again) > len(b) {
			t.Fatalf("%d bytes become %d", len(b), len(again))
		}
		if back, err := AppendPairs(nil, again); err != nil || !reflect.DeepEqual(back, params) {
			t.Fatalf("%v: %v is not %v", err, back, params)
		}
		if err == nil && !bytes.Equal(again, b) && bytes.IndexByte(b, 0x80) < 0 {
			t.Fatalf("%x becomes %x", b, again)
		}
	})
}

// FuzzReader: records are encoded as they were, and bytes come neither twice
// nor out of nothing.
func FuzzReader(f *testing.F) {
	for _, pattern := range []string{"valid/*.hex", "invalid/*.hex"} {
		for _, file := range wireFiles(f, pattern) {
			f.Add(file.bytes, uint8(3))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte, step uint8) {
		in := newReader(&stepReader{b, int(step)})
		at := 0
		for {
			h, err := in.next()
			if err != nil {
				return
			}
			if head := AppendHeader(nil, h); !bytes.HasPrefix(b[at:], head) {
				t.Fatalf("at %d: %+v is not in %x", at, h, b)
			}
			at += HeaderLen
			content, err := in.whole(nil)
			if !bytes.HasPrefix(b[at:], content) || err == nil && len(content) != h.Length {
				t.Fatalf("at %d: %x of %+v is not in %x", at, content, h, b)
			}
			at += len(content) + h.Padding
		}
	})
}

// stepReader reads so many bytes at a time.
type stepReader struct {
	b    []byte
	step int
}

func (r *stepReader) Read(b []byte) (int, error) {
	if len(r.b) == 0 {
		return 0, io.EOF
	}
	n := copy(b, r.b[:min(len(r.b), r.step+1)])
	r.b = r.b[n:]
	return n, nil
}

// FuzzServer: whatever a peer sends, the server answers in whole records, of
// requests that were begun, and comes to an end.
func FuzzServer(f *testing.F) {
	for _, pattern := range []string{"valid/server_*.hex", "invalid/server_*.hex"} {
		for _, file := range wireFiles(f, pattern) {
			f.Add(file.bytes)
		}
	}
	many := (&front{}).get(1).post(2, 4).begin(3, gateway.Filter, true)
	many.params(3, "REQUEST_METHOD", "POST", "FCGI_DATA_LENGTH", "2").record(Stdin, 2, "abcd").record(Stdin, 3, "").record(AbortRequest, 2, "")
	f.Add(many.record(Data, 3, "xy").record(Data, 3, "").begin(4, gateway.Authorizer, false).params(4, "REQUEST_METHOD", "GET").record(Stdin, 4, "").b)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(w, r.Body)
		front := gateway.FrontOf(r.Context())
		_, _ = io.WriteString(front.Stderr, "said")
		if front.Data != nil {
			_, _ = io.Copy(w, front.Data)
		}
	})
	f.Fuzz(func(t *testing.T, b []byte) {
		out, _ := serveBytes(handler, b)
		in := newReader(bytes.NewReader(out))
		ended := 0
		for {
			h, err := in.next()
			if err == io.EOF {
				break
			}
			if err == nil {
				_, err = in.whole(nil)
			}
			if err != nil {
				t.Fatalf("%x is answered with half a record, or none: %x", b, out)
			}
			if h.Type == EndRequest {
				ended++
			}
		}
		if begun := bytes.Count(b, []byte{1, byte(BeginRequest)}); ended > begun {
			t.Fatalf("%d requests end, and at most %d were begun", ended, begun)
		}
	})
}

// FuzzResponse: whatever a program answers, on a connection of its own and on
// a shared one, it is a response whose end is proper, or an error.
func FuzzResponse(f *testing.F) {
	for _, pattern := range []string{"valid/client_*.hex", "invalid/client_*.hex"} {
		for _, file := range wireFiles(f, pattern) {
			f.Add(file.bytes)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		status, body, err := roundTripBytes(t, b)
		mStatus, mBody, mErr := sharedBytes(t, b)
		for _, s := range []int{status, mStatus} {
			if s != 0 && (s < 200 || s > 999) {
				t.Fatalf("status %d", s)
			}
		}
		ended := bytes.Contains(b, []byte{1, byte(EndRequest), 0, 1, 0, 8})
		if (err == nil || mErr == nil) && !ended {
			t.Fatalf("%x has no END_REQUEST, and is whole", b)
		}
		if err == nil && mErr == nil && (status != mStatus || body != mBody) {
			t.Fatalf("%d %q, but shared %d %q", status, body, mStatus, mBody)
		}
	})
}

// sharedBytes is roundTripBytes on a shared connection.
func sharedBytes(t testing.TB, b []byte) (status int, body string, err error) {
	c := scripted(nil)
	c.pool.limits = limits{known: true, keep: true, requests: 4}
	c.Reuse = ReuseAuto
	c.Dial = func(context.Context) (net.Conn, error) {
		return &waitingConn{memoryConn: memoryConn{in: bytes.NewReader(b)}, sent: make(chan struct{})}, nil
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	req := get()
	req.Params[0].Value = "POST" // which is not tried a second time
	resp, err := c.RoundTrip(ctx, req)
	if err != nil {
		if ctx.Err() != nil {
			t.Fatalf("%x: waits for ever", b)
		}
		return 0, "", err
	}
	defer resp.Body.Close()
	all, err := io.ReadAll(resp.Body)
	return resp.Status, string(all), err
}

// waitingConn answers only when it is asked.
type waitingConn struct {
	memoryConn
	asked sync.Once
	sent  chan struct{}
}

func (c *waitingConn) Read(b []byte) (int, error) {
	<-c.sent
	return c.memoryConn.Read(b)
}

func (c *waitingConn) Write(b []byte) (int, error) {
	c.asked.Do(func() { close(c.sent) })
	return len(b), nil
}

func (c *waitingConn) Close() error {
	c.asked.Do(func() { close(c.sent) })
	return nil
}
