package h1

// This file: chunked bodies, as they come in pieces of any size.

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http/httputil"
	"strings"
	"testing"
	"testing/iotest"
)

// pieces is a connection whose reads return as much as r likes.
type pieces struct {
	*memory
	r io.Reader
}

func (p *pieces) Read(b []byte) (int, error) { return p.r.Read(b) }

// decode reads a chunked body from r by reads of size bytes, and returns what
// is left behind it.
func decode(r io.Reader, size int) (data, rest string, err error) {
	s := &Server{}
	c := &conn{srv: s, rwc: &pieces{newMemory(nil), r}}
	k := &chunks{}
	var b bytes.Buffer
	for err == nil {
		p := make([]byte, size)
		var n int
		n, err = k.read(c, p)
		b.Write(p[:n])
	}
	if c.in != nil {
		rest = string(c.in.b[c.r:c.w])
	}
	more, _ := io.ReadAll(r)
	return b.String(), rest + string(more), err
}

func TestChunksInPieces(t *testing.T) {
	wire := "5\r\nhello\r\n1;x=y\r\n \r\n" + fmt.Sprintf("%x\r\n%s\r\n", 9000, strings.Repeat("w", 9000)) + "0\r\nA: b\r\n\r\nGET"
	want := "hello " + strings.Repeat("w", 9000)
	for _, size := range []int{1, 2, 100, smallBuffer, 1 << 20} {
		for name, r := range map[string]io.Reader{"whole": strings.NewReader(wire), "bytes": iotest.OneByteReader(strings.NewReader(wire)), "halves": iotest.HalfReader(strings.NewReader(wire))} {
			data, rest, err := decode(r, size)
			if data != want || rest != "GET" || !errors.Is(err, io.EOF) {
				t.Errorf("%s, by %d: %d bytes, rest %q, %v", name, size, len(data), rest, err)
			}
		}
	}
}

// FuzzChunks: what is decoded is what the standard library decodes, which
// takes more; and a body that was encoded from anything is decoded to it.
func FuzzChunks(f *testing.F) {
	for _, wire := range []string{"0\r\n\r\n", "3\r\nabc\r\n0\r\n\r\nrest", "a;b=c\r\n0123456789\r\n0\r\nX: y\r\n\r\n", "1 \r\nx\r\n", "1\nx", "fffffffffffffff\r\n"} {
		f.Add([]byte(wire), 3)
	}
	f.Fuzz(func(t *testing.T, wire []byte, size int) {
		size = 1 + (size&0xffff)%5000
		data, rest, err := decode(iotest.HalfReader(bytes.NewReader(wire)), size)
		if errors.Is(err, io.EOF) {
			theirs, err := io.ReadAll(httputil.NewChunkedReader(bytes.NewReader(wire)))
			if err != nil || string(theirs) != data {
				t.Errorf("the standard library: %q, %v; here %q of %q", theirs, err, data, wire)
			}
			if !strings.HasSuffix(string(wire), rest) {
				t.Errorf("%q is left of %q", rest, wire)
			}
		}
		var b bytes.Buffer
		w := httputil.NewChunkedWriter(&b)
		for p := wire; len(p) > 0; p = p[min(len(p), size):] {
			_, _ = w.Write(p[:min(len(p), size)])
		}
		b.WriteString("0\r\n\r\nrest")
		if data, rest, err := decode(&b, size); data != string(wire) || rest != "rest" || !errors.Is(err, io.EOF) {
			t.Errorf("%q came back as %q, %q, %v", wire, data, rest, err)
		}
	})
}
