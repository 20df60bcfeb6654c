package fcgi

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"millrace/gateway"
)

// wireBytes reads bytes as the files in testdata have them: hexadecimal
// numbers, text in quotation marks, and comments.
func wireBytes(t testing.TB, text string) []byte {
	t.Helper()
	var b []byte
	for line := range strings.SplitSeq(text, "\n") {
		for line = strings.TrimSpace(line); line != "" && line[0] != '#'; line = strings.TrimSpace(line) {
			if line[0] == '"' {
				var text string
				text, line, _ = strings.Cut(line[1:], `"`)
				b = append(b, text...)
				continue
			}
			c, err := hex.DecodeString(line[:min(2, len(line))])
			if err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			b, line = append(b, c...), line[2:]
		}
	}
	return b
}

// wireFile is a file of testdata, and what its first line says.
type wireFile struct {
	name, says string
	bytes      []byte
}

// wireFiles reads those that match.
func wireFiles(t testing.TB, pattern string) []wireFile {
	t.Helper()
	names, err := filepath.Glob("testdata/" + pattern)
	if err != nil || len(names) == 0 {
		t.Fatalf("no files match %s (%v)", pattern, err)
	}
	var files []wireFile
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		first, _, _ := strings.Cut(string(b), "\n")
		_, says, _ := strings.Cut(first, ": ")
		files = append(files, wireFile{strings.TrimSuffix(filepath.Base(name), ".hex"), says, wireBytes(t, string(b))})
	}
	return files
}

func TestBytes(t *testing.T) {
	short, long := strings.Repeat("s", 127), strings.Repeat("l", 128)
	for name, test := range map[string]struct {
		got  []byte
		want string
	}{
		"header": {AppendHeader(nil, Header{Type: Stdout, ID: 0x0102, Length: 0x0304, Padding: 5}), `
			01       # version
			06       # STDOUT
			01 02    # id
			03 04    # length of the content
			05       # of the padding
			00       # reserved`},
		"largest header": {AppendHeader(nil, Header{Type: 255, ID: 65535, Length: 65535, Padding: 255}), `
			01 ff
			ff ff    # id
			ff ff    # the most that a record holds
			ff 00`},
		"BEGIN_REQUEST": {appendBegin(nil, 7, gateway.Filter, true), `
			01 01 00 07 00 08 00 00  # 8 bytes of content
			00 03                    # role FILTER
			01                       # FCGI_KEEP_CONN
			00 00 00 00 00           # reserved`},
		"BEGIN_REQUEST, not kept": {appendBegin(nil, 7, gateway.Authorizer, false), `
			01 01 00 07 00 08 00 00
			00 02                    # role AUTHORIZER
			00                       # the connection closes
			00 00 00 00 00`},
		"END_REQUEST": {appendEnd(nil, 7, endBody{app: 0x01020304, status: UnknownRole}), `
			01 03 00 07 00 08 00 00
			01 02 03 04              # the app's exit status
			03                       # UNKNOWN_ROLE
			00 00 00                 # reserved`},
		"pair": {AppendPair(nil, "NAME", "value"), `
			04        # length of the name
			05        # of the value
			"NAME" "value"`},
		"empty value": {AppendPair(nil, "N", ""), `01 00 "N"`},
		"127": {AppendPair(nil, short, "v"), `
			7f        # the longest length of one byte
			01 "` + short + `" "v"`},
		"128": {AppendPair(nil, "N", long), `
			01
			80 00 00 80  # the shortest length of four
			"N" "` + long + `"`},
		"65535": {AppendPair(nil, "N", strings.Repeat("v", 65535)), `
			01
			80 00 ff ff
			"N" "` + strings.Repeat("v", 65535) + `"`},
		"GET_VALUES": {asked(t), `
			01 09 00 00 00 30        # GET_VALUES, id 0, 48 bytes
			08 00                    # 8 of padding, without which libfcgi waits for more
			0e 00 "FCGI_MAX_CONNS"   # names without values
			0d 00 "FCGI_MAX_REQS"
			0f 00 "FCGI_MPXS_CONNS"
			00 00 00 00 00 00 00 00`},
	} {
		if want := wireBytes(t, test.want); !bytes.Equal(test.got, want) {
			t.Errorf("%s: %.80x, want %.80x", name, test.got, want)
		}
	}
}

// asked is what a client asks a program.
func asked(t testing.TB) []byte {
	t.Helper()
	c := &memoryConn{in: bytes.NewReader(nil)}
	if _, err := getValues(c, 1); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	return c.out.Bytes()
}

func TestHeaderPanics(t *testing.T) {
	for _, h := range []Header{{Length: 65536}, {Length: -1}, {Padding: 256}, {Padding: -1}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%+v becomes a record of another length", h)
				}
			}()
			AppendHeader(nil, h)
		}()
	}
}

func TestPairs(t *testing.T) {
	var want []gateway.Param
	var b []byte
	for _, n := range []int{0, 1, 127, 128, 255, 256, 65535, 65536} {
		for _, m := range []int{1, 127, 128, 65535} {
			p := gateway.Param{Name: strings.Repeat("n", m), Value: strings.Repeat("v", n)}
			b, want = AppendPair(b, p.Name, p.Value), append(want, p)
		}
	}
	got, err := AppendPairs(nil, b)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%d pairs of %d, %v", len(got), len(want), err)
	}
	for cut := range 200 { // no end within a pair passes
		if _, err := AppendPairs(nil, b[:len(b)-1-cut]); !errors.Is(err, ErrProtocol) {
			t.Errorf("%d bytes short: %v", cut+1, err)
		}
	}
}

// TestDeclaredLengths has lengths that are announced and never come: nothing
// is allocated for them.
func TestDeclaredLengths(t *testing.T) {
	pair := []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 'N'}
	if n := allocated(func() { _, _ = AppendPairs(nil, pair) }); n > 4<<10 {
		t.Errorf("%d bytes for a pair of 9", n)
	}
	record := AppendHeader(nil, Header{Type: Params, ID: 1, Length: MaxContent, Padding: 255})
	if n := allocated(func() {
		in := newReader(bytes.NewReader(record))
		_, _ = in.next()
		_, _ = in.whole(nil)
	}); n > readBuffer+4<<10 {
		t.Errorf("%d bytes for a record that does not come", n)
	}
}

func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestReader(t *testing.T) {
	var b []byte
	sizes := []int{0, 1, 8, 8183, 8184, 8185, 65534, 65535, 3, 0}
	for i, n := range sizes {
		b = AppendHeader(b, Header{Type: Stdout, ID: uint16(i), Length: n, Padding: i * 28})
		b = append(b, bytes.Repeat([]byte{byte(i)}, n)...)
		b = append(b, make([]byte, i*28)...)
	}
	for name, src := range map[string]io.Reader{
		"whole": bytes.NewReader(b), "byte by byte": iotest.OneByteReader(bytes.NewReader(b)), "halves": iotest.HalfReader(bytes.NewReader(b)),
	} {
		in := newReader(src)
		for i, n := range sizes {
			h, err := in.next()
			if err != nil || h.ID != uint16(i) || h.Length != n {
				t.Fatalf("%s: %v %+v, want record %d of %d bytes", name, err, h, i, n)
			}
			if i%3 == 2 {
				continue // passed over
			}
			if got, err := in.whole(nil); err != nil || !bytes.Equal(got, bytes.Repeat([]byte{byte(i)}, n)) {
				t.Fatalf("%s: %v, %d bytes of record %d", name, err, len(got), i)
			}
		}
		if _, err := in.next(); err != io.EOF {
			t.Errorf("%s: %v at the end", name, err)
		}
	}
	for cut := 1; cut < len(b); cut += 997 { // an end inside a record is none
		in := newReader(bytes.NewReader(b[:cut]))
		for {
			if _, err := in.next(); err == io.EOF {
				if boundary(b, cut) {
					break
				}
				t.Fatalf("cut at %d: a proper end", cut)
			} else if err != nil {
				break
			}
		}
	}
}

// boundary reports whether a record ends at a place.
func boundary(b []byte, at int) bool {
	for i := 0; i <= at; {
		if i == at {
			return true
		}
		h, _ := ParseHeader(b[i:])
		i += HeaderLen + h.Length + h.Padding
	}
	return false
}

func TestSplitParams(t *testing.T) {
	for _, size := range []int{0, 1, 65535 - 60, 65535, 65536, 2*65535 + 5, 1 << 20} {
		req := get("BIG", strings.Repeat("b", size))
		b, err := begin(nil, 3, req, true)
		if err != nil {
			t.Fatal(err)
		}
		in := newReader(bytes.NewReader(b))
		var all []byte
		for {
			h, err := in.next()
			if err != nil {
				t.Fatal(err)
			}
			if h.Type == BeginRequest {
				continue
			}
			if h.Length == 0 {
				break
			}
			all, _ = in.whole(all)
		}
		params, err := AppendPairs(nil, all)
		want := append(append([]gateway.Param{}, req.Params...), gateway.Param{Name: "FCGI_ROLE", Value: "RESPONDER"})
		if err != nil || !reflect.DeepEqual(params, want) {
			t.Errorf("%d bytes: %d parameters, %v", size, len(params), err)
		}
		if _, err := in.next(); err != io.EOF {
			t.Errorf("%d bytes: more after the end: %v", size, err)
		}
	}
	if _, err := begin(nil, 1, get("BIG", strings.Repeat("b", maxParams)), true); !errors.Is(err, gateway.ErrTooLarge) {
		t.Error(err)
	}
}

func TestStrings(t *testing.T) {
	got := fmt.Sprint(Type(0), BeginRequest, UnknownType, Type(12), " ", RequestComplete, " ", UnknownRole, " ", Status(4))
	if want := "type 0 BEGIN_REQUEST UNKNOWN_TYPE type 12 REQUEST_COMPLETE UNKNOWN_ROLE status 4"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
