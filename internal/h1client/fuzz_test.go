package h1client

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"millrace/gateway"
)

// recording is a connection whose other side says what was recorded, at most
// so many bytes at a time, and then hangs up.
type recording struct {
	net.Conn
	text  []byte
	piece int
}

func (r *recording) Read(b []byte) (int, error) {
	if len(r.text) == 0 {
		return 0, io.EOF
	}
	n := copy(b[:min(len(b), r.piece)], r.text)
	r.text = r.text[n:]
	return n, nil
}

func (r *recording) Write(b []byte) (int, error)      { return len(b), nil }
func (r *recording) Close() error                     { return nil }
func (r *recording) SetDeadline(time.Time) error      { return nil }
func (r *recording) SetReadDeadline(time.Time) error  { return nil }
func (r *recording) SetWriteDeadline(time.Time) error { return nil }

// outcome is what a recorded response has come to.
type outcome struct {
	status  int
	header  http.Header
	body    string
	trailer http.Header
	err     error // of the head
	cut     error // of the body
	kept    bool
}

// replay has a client read a recording, in pieces.
func replay(text []byte, method string, piece int) outcome {
	c := &Client{Dial: func(context.Context) (net.Conn, error) { return &recording{text: text, piece: piece}, nil }, IdleTimeout: -1, MaxHead: 8 << 10}
	defer c.Close()
	resp, err := c.RoundTrip(context.Background(), &Request{Method: method, Target: "/", Host: "h"})
	if err != nil {
		return outcome{err: err}
	}
	b, err := io.ReadAll(resp.Body)
	o := outcome{status: resp.Status, header: resp.Header, body: string(b), trailer: resp.Trailer, cut: err, kept: c.Idle() == 1}
	_ = resp.Body.Close() // tells of what came behind it
	return o
}

// reference has package net/http read it; rest is what it leaves.
func reference(text []byte, method string) (o outcome, rest int) {
	in := bufio.NewReaderSize(bytes.NewReader(text), len(text)+16)
	for {
		res, err := http.ReadResponse(in, &http.Request{Method: method})
		if err != nil {
			return outcome{err: err}, 0
		}
		if res.StatusCode < 200 {
			continue
		}
		b, err := io.ReadAll(res.Body)
		return outcome{status: res.StatusCode, header: res.Header, body: string(b), cut: err}, in.Buffered()
	}
}

// FuzzResponse: whatever comes, in whatever pieces, what is taken for a whole
// response is one to package net/http too, with the same words; and where the
// connection is kept, not a byte is left over.
func FuzzResponse(f *testing.F) {
	for _, folder := range []string{"valid", "invalid"} {
		files, err := filepath.Glob(filepath.Join("testdata", folder, "*"))
		if err != nil || len(files) == 0 {
			f.Fatalf("no files in %s: %v", folder, err)
		}
		for _, name := range files {
			text, err := os.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(text, false, uint16(1))
			f.Add(text, true, uint16(7))
		}
	}
	f.Fuzz(func(t *testing.T, text []byte, head bool, piece uint16) {
		method := "GET"
		if head {
			method = "HEAD"
		}
		whole := replay(text, method, 1<<20)
		parts := replay(text, method, int(piece)+1)
		if fmt.Sprint(whole.status, whole.header, whole.body, whole.trailer, whole.err == nil, whole.cut == nil) !=
			fmt.Sprint(parts.status, parts.header, parts.body, parts.trailer, parts.err == nil, parts.cut == nil) {
			t.Fatalf("in one piece: %+v\nin pieces:    %+v", whole, parts)
		}
		if whole.err != nil {
			if !errors.Is(whole.err, gateway.ErrBadResponse) && !errors.Is(whole.err, gateway.ErrNotAnswered) {
				t.Fatal(whole.err)
			}
			return
		}
		ref, rest := reference(text, method)
		if spaceBeforeColon(text) { // which a proxy is to remove, and net/http does not
			if whole.kept && rest != 0 {
				t.Fatalf("the connection is kept with %d bytes left", rest)
			}
			return
		}
		if ref.err != nil {
			t.Fatalf("net/http refuses it: %v; we have %+v", ref.err, whole)
		}
		if whole.status != ref.status || whole.cut == nil && (whole.body != ref.body || ref.cut != nil && !errors.Is(ref.cut, io.ErrUnexpectedEOF)) {
			t.Fatalf("ours:     %+v\nnet/http: %+v", whole, ref)
		}
		if whole.cut != nil && !strings.HasPrefix(ref.body, whole.body) && !strings.HasPrefix(whole.body, ref.body) {
			t.Fatalf("cut, ours: %q\nnet/http:  %q", whole.body, ref.body)
		}
		if whole.kept && (rest != 0 || ref.cut != nil) {
			t.Fatalf("the connection is kept with %d bytes left, %v", rest, ref.cut)
		}
		for name, values := range whole.header {
			if theirs := ref.header[name]; fmt.Sprint(theirs) != fmt.Sprint(values) && name != "Content-Length" && !strings.HasPrefix(name, "Variable-") {
				t.Fatalf("%s: ours %q, net/http's %q", name, values, theirs)
			}
		}
	})
}

func spaceBeforeColon(text []byte) bool {
	return bytes.Contains(text, []byte(" :")) || bytes.Contains(text, []byte("\t:"))
}

// FuzzChunks: the decoder gives the same, however its input is cut, and
// re-encoded the body is the same again.
func FuzzChunks(f *testing.F) {
	for _, seed := range []string{"0\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n", "1;a=b\r\nx\r\n00 \r\nX: y\r\n\r\n", "fffffffffffffffff\r\n", "1\r\nx\n0\r\n\r\n", "0\r\nX : y\r\n\r\n", "-1\r\n"} {
		f.Add([]byte(seed), uint8(1))
	}
	f.Fuzz(func(t *testing.T, text []byte, piece uint8) {
		body, used, err := decode(text, len(text))
		again, usedAgain, errAgain := decode(text, int(piece)+1)
		if string(body) != string(again) || (err == nil) != (errAgain == nil) || err == nil && used != usedAgain {
			t.Fatalf("%q %d %v, in pieces %q %d %v", body, used, err, again, usedAgain, errAgain)
		}
		if err != nil || used == 0 {
			return
		}
		encoded := fmt.Appendf(nil, "%x\r\n%s\r\n0\r\n\r\n", len(body), body)
		if len(body) == 0 {
			encoded = []byte("0\r\n\r\n")
		}
		if once, _, err := decode(encoded, len(encoded)); err != nil || string(once) != string(body) {
			t.Fatalf("%q becomes %q, %v", body, once, err)
		}
	})
}

// decode decodes text, of which so many bytes come at a time; used is 0 where
// it ends too early.
func decode(text []byte, piece int) (body []byte, used int, err error) {
	var d chunked
	end := 0
	for at := 0; ; {
		data, n, err := d.next(text[at:end])
		if err != nil {
			return body, 0, err
		}
		body = append(body, data...)
		at += n
		switch {
		case d.done:
			return body, at, nil
		case n > 0:
		case end == len(text):
			return body, 0, nil
		default:
			end = min(end+max(piece, 1), len(text))
		}
	}
}

// TestFiles: each recorded response is what its folder says.
func TestFiles(t *testing.T) {
	for folder, good := range map[string]bool{"valid": true, "invalid": false} {
		files, err := filepath.Glob(filepath.Join("testdata", folder, "*"))
		if err != nil || len(files) < 5 {
			t.Fatalf("%d files in %s: %v", len(files), folder, err)
		}
		for _, name := range files {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			o := replay(text, "GET", 1<<20)
			if got := o.err == nil && o.cut == nil; got != good {
				t.Errorf("%s: %+v", name, o)
			}
		}
	}
}
