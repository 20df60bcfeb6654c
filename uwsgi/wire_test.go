package uwsgi

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"millrace/gateway"
)

func TestAppendRequest(t *testing.T) {
	tests := []struct {
		name                 string
		modifier1, modifier2 uint8
		params               []gateway.Param
		want                 string
	}{
		{"nothing", 0, 0, nil, "" +
			"\x00" + // modifier1
			"\x00\x00" + // bytes behind the header
			"\x00"}, // modifier2
		{"two parameters", 0, 0, []gateway.Param{{Name: "REQUEST_METHOD", Value: "GET"}, {Name: "A", Value: ""}}, "" +
			"\x00" + "\x1a\x00" + "\x00" +
			"\x0e\x00" + "REQUEST_METHOD" +
			"\x03\x00" + "GET" +
			"\x01\x00" + "A" +
			"\x00\x00"},
		{"for PHP", 14, 1, []gateway.Param{{Name: "A", Value: "b"}}, "" +
			"\x0e" + "\x06\x00" + "\x01" +
			"\x01\x00" + "A" +
			"\x01\x00" + "b"},
		{"two bytes of length", 0, 0, []gateway.Param{{Name: "A", Value: strings.Repeat("v", 0x1234)}}, "" +
			"\x00" + "\x39\x12" + "\x00" +
			"\x01\x00" + "A" +
			"\x34\x12" + strings.Repeat("v", 0x1234)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := AppendRequest([]byte("before "), test.modifier1, test.modifier2, test.params)
			if err != nil || string(got) != "before "+test.want {
				t.Errorf("%.80q, %v\nwant %.80q", got, err, test.want)
			}
		})
	}
}

// TestAppendRequestBound is the packet's size, at its edges.
func TestAppendRequestBound(t *testing.T) {
	long := func(n int) string { return strings.Repeat("x", n) }
	tests := []struct {
		name   string
		params []gateway.Param
		ok     bool
	}{
		{"the largest value", []gateway.Param{{Name: "A", Value: long(65535 - 5)}}, true},
		{"a byte more", []gateway.Param{{Name: "A", Value: long(65535 - 4)}}, false},
		{"a value that no length can say", []gateway.Param{{Name: "A", Value: long(65536)}}, false},
		{"the largest name", []gateway.Param{{Name: long(65535 - 4)}}, true},
		{"a name that no length can say", []gateway.Param{{Name: long(65536)}}, false},
		{"two that fill it", []gateway.Param{{Name: "A", Value: long(40000)}, {Name: "B", Value: long(65535 - 40000 - 10)}}, true},
		{"two that do not fit", []gateway.Param{{Name: "A", Value: long(40000)}, {Name: "B", Value: long(65535 - 40000 - 9)}}, false},
		{"no name", []gateway.Param{{Value: "x"}}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b, err := AppendRequest([]byte("before "), 0, 0, test.params)
			switch {
			case test.ok && err != nil:
				t.Error(err)
			case test.ok:
				if params, n, err := ParseRequest(b[len("before "):], maxSize); n != len(b)-len("before ") || err != nil || len(params) != len(test.params) {
					t.Errorf("parsed: %d parameters, %d, %v", len(params), n, err)
				}
			case !errors.Is(err, gateway.ErrTooLarge) || string(b) != "before ":
				t.Errorf("%d bytes, %v; want ErrTooLarge and nothing appended", len(b), err)
			}
		})
	}
}

// wireFiles are the files of one folder of testdata, by their names.
func wireFiles(t testing.TB, kind string) map[string][]byte {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", kind, "*.wire"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no files in testdata/%s: %v", kind, err)
	}
	files := map[string][]byte{}
	for _, path := range paths {
		files[strings.TrimSuffix(path, ".wire")] = read(t, path)
	}
	return files
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// format writes parameters as the files beside the wire files have them.
func format(params []gateway.Param) string {
	var b strings.Builder
	for _, p := range params {
		b.WriteString(p.Name + `="`)
		for i := range len(p.Value) {
			if c := p.Value[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
				b.WriteString(`\x` + string("0123456789abcdef"[c>>4]) + string("0123456789abcdef"[c&15]))
			} else {
				b.WriteByte(c)
			}
		}
		b.WriteString("\"\n")
	}
	return b.String()
}

// TestValidFiles has what front servers send, and the edges of what is valid:
// each is parsed from all of its bytes, and from no fewer.
func TestValidFiles(t *testing.T) {
	for name, b := range wireFiles(t, "valid") {
		t.Run(filepath.Base(name), func(t *testing.T) {
			params, n, err := ParseRequest(b, maxSize)
			if want := string(read(t, name+".params")); err != nil || format(params) != want {
				t.Fatalf("%v\n%s\nwant\n%s", err, format(params), want)
			}
			for i := range min(n, 4096) {
				if _, n, err := ParseRequest(b[:i], maxSize); n != 0 || err != nil {
					t.Fatalf("the first %d of %d bytes: %d, %v; want more to be asked for", i, len(b), n, err)
				}
			}
		})
	}
}

func TestInvalidFiles(t *testing.T) {
	for name, b := range wireFiles(t, "invalid") {
		t.Run(filepath.Base(name), func(t *testing.T) {
			want := strings.TrimSuffix(string(read(t, name+".err")), "\n")
			params, n, err := ParseRequest(b, maxSize)
			if err == nil || err.Error() != want || params != nil || n != 0 {
				t.Errorf("%v, %d, %v\nwant %s", params, n, err, want)
			}
		})
	}
}

// TestMaxParams is the bound, which holds for the packet's bytes.
func TestMaxParams(t *testing.T) {
	b, err := AppendRequest(nil, 0, 0, []gateway.Param{{Name: "A", Value: "b"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, n, err := ParseRequest(b, 6); n != len(b) || err != nil {
		t.Errorf("at the bound: %d, %v", n, err)
	}
	if _, _, err := ParseRequest(b[:4], 5); err == nil {
		t.Error("beyond the bound: no error as soon as the size is there")
	}
}

// TestDeclaredLength is a size without its bytes: nothing is allocated for it.
func TestDeclaredLength(t *testing.T) {
	b := []byte("\x00\xff\xff\x00\x0e\x00REQUEST_METHOD")
	if n := testing.AllocsPerRun(100, func() { _, _, _ = ParseRequest(b, maxSize) }); n != 0 {
		t.Errorf("%v allocations; want 0", n)
	}
}

// FuzzParseRequest holds the decoder to its encoder, and to itself when the
// bytes come one by one.
func FuzzParseRequest(f *testing.F) {
	for _, kind := range []string{"valid", "invalid"} {
		for _, b := range wireFiles(f, kind) {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		params, n, err := ParseRequest(b, maxSize)
		switch {
		case err != nil:
			if n != 0 || params != nil {
				t.Fatalf("%v with %d %v", err, n, params)
			}
			return
		case n == 0:
			return
		}
		for i := range min(n, 512) {
			if _, m, err := ParseRequest(b[:i], maxSize); m != 0 || err != nil {
				t.Fatalf("the first %d of %d bytes: %d, %v", i, n, m, err)
			}
		}
		again, err := AppendRequest(nil, 0, 0, params)
		if err != nil || !bytes.Equal(again, b[:n]) {
			t.Fatalf("%q\nis encoded again as\n%q, %v", b[:n], again, err)
		}
	})
}

func BenchmarkParseRequest(b *testing.B) {
	wire := read(b, "testdata/valid/nginx.wire")
	b.ReportAllocs()
	b.SetBytes(int64(len(wire)))
	for b.Loop() {
		if _, n, err := ParseRequest(wire, maxSize); n == 0 || err != nil {
			b.Fatal(n, err)
		}
	}
}

func BenchmarkAppendRequest(b *testing.B) {
	params, _, err := ParseRequest(read(b, "testdata/valid/nginx.wire"), maxSize)
	if err != nil {
		b.Fatal(err)
	}
	buf := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := AppendRequest(buf, 0, 0, params); err != nil {
			b.Fatal(err)
		}
	}
}
