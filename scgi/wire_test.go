package scgi

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"millrace/gateway"
)

func TestAppendRequest(t *testing.T) {
	tests := []struct {
		name   string
		params []gateway.Param
		length int64
		want   string
	}{
		{"nothing", nil, 0, "" +
			"24:" + // bytes up to the comma
			"CONTENT_LENGTH\x000\x00" +
			"SCGI\x001\x00" +
			","},
		{"the specification's", []gateway.Param{{Name: "REQUEST_METHOD", Value: "POST"}, {Name: "REQUEST_URI", Value: "/deepthought"}}, 27, "" +
			"70:" +
			"CONTENT_LENGTH\x0027\x00" +
			"SCGI\x001\x00" +
			"REQUEST_METHOD\x00POST\x00" +
			"REQUEST_URI\x00/deepthought\x00" +
			","},
		{"its own, whatever the caller says", []gateway.Param{{Name: "SCGI", Value: "2"}, {Name: "A"}, {Name: "CONTENT_LENGTH", Value: "5"}}, 6, "" +
			"27:" +
			"CONTENT_LENGTH\x006\x00" +
			"SCGI\x001\x00" +
			"A\x00\x00" + // an empty value
			","},
		{"the last of a name", []gateway.Param{{Name: "A", Value: "1"}, {Name: "B", Value: "2"}, {Name: "A", Value: "3"}}, 0, "" +
			"32:" +
			"CONTENT_LENGTH\x000\x00" +
			"SCGI\x001\x00" +
			"B\x002\x00" +
			"A\x003\x00" +
			","},
		{"the largest length", nil, 1<<63 - 1, "" +
			"42:" +
			"CONTENT_LENGTH\x009223372036854775807\x00" +
			"SCGI\x001\x00" +
			","},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := AppendRequest([]byte("before "), test.params, test.length)
			if err != nil || string(got) != "before "+test.want {
				t.Errorf("%q, %v\nwant %q", got, err, test.want)
			}
		})
	}
}

// TestAppendRequestMany is the way with a map.
func TestAppendRequestMany(t *testing.T) {
	var params, want []gateway.Param
	want = append(want, gateway.Param{Name: "CONTENT_LENGTH", Value: "0"}, gateway.Param{Name: "SCGI", Value: "1"})
	for i := range 2 * manyParams {
		p := gateway.Param{Name: "P" + strconv.Itoa(i), Value: "last"}
		params = append(params, gateway.Param{Name: p.Name, Value: "first"})
		want = append(want, p)
	}
	params = append(append(params, want[2:]...), gateway.Param{Name: "CONTENT_LENGTH", Value: "7"})
	b, err := AppendRequest(nil, params, 0)
	if err != nil {
		t.Fatal(err)
	}
	got, n, err := ParseRequest(b, len(b))
	if err != nil || n != len(b) || !equal(got, want) {
		t.Errorf("%v %d %v; want %v", got, n, err, want)
	}
}

func TestAppendRequestRefuses(t *testing.T) {
	for _, p := range []gateway.Param{{Name: "", Value: "x"}, {Name: "A\x00B", Value: "x"}, {Name: "A", Value: "x\x00"}} {
		if _, err := AppendRequest(nil, []gateway.Param{p}, 0); !errors.Is(err, gateway.ErrTooLarge) {
			t.Errorf("%q: %v; want ErrTooLarge", p, err)
		}
	}
}

func equal(a, b []gateway.Param) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
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
			params, n, err := ParseRequest(b, gateway.DefaultMaxParams)
			if want := string(read(t, name+".params")); err != nil || format(params) != want {
				t.Fatalf("%v\n%s\nwant\n%s", err, format(params), want)
			}
			for i := range min(n, 4096) {
				if _, n, err := ParseRequest(b[:i], gateway.DefaultMaxParams); n != 0 || err != nil {
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
			params, n, err := ParseRequest(b, gateway.DefaultMaxParams)
			if err == nil || err.Error() != want || params != nil || n != 0 {
				t.Errorf("%v, %d, %v\nwant %s", params, n, err, want)
			}
		})
	}
}

// TestMaxParams is the bound, which holds for the netstring's bytes.
func TestMaxParams(t *testing.T) {
	b, err := AppendRequest(nil, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, n, err := ParseRequest(b, 24); n != len(b) || err != nil {
		t.Errorf("at the bound: %d, %v", n, err)
	}
	if _, _, err := ParseRequest(b[:2], 23); err == nil {
		t.Error("beyond the bound: no error as soon as the length is there")
	}
}

// TestDeclaredLength is a length without its bytes: nothing is allocated for it.
func TestDeclaredLength(t *testing.T) {
	b := []byte("1000000:CONTENT_LENGTH\x000\x00")
	if n := testing.AllocsPerRun(100, func() { _, _, _ = ParseRequest(b, gateway.DefaultMaxParams) }); n != 0 {
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
		const limit = 1 << 16
		params, n, err := ParseRequest(b, limit)
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
			if _, m, err := ParseRequest(b[:i], limit); m != 0 || err != nil {
				t.Fatalf("the first %d of %d bytes: %d, %v", i, n, m, err)
			}
		}
		length, err := gateway.ParseLength(params[0].Value)
		if err != nil {
			t.Fatal(err)
		}
		again, err := AppendRequest(nil, params, length)
		if err != nil {
			t.Fatal(err)
		}
		if unusual(params, length) {
			return
		}
		if !bytes.Equal(again, b[:n]) {
			t.Fatalf("%q\nis encoded again as\n%q", b[:n], again)
		}
	})
}

// unusual says that the encoder would put the parameters otherwise: SCGI
// elsewhere, a name twice, a length with leading zeros.
func unusual(params []gateway.Param, length int64) bool {
	if params[1].Name != version || strconv.FormatInt(length, 10) != params[0].Value {
		return true
	}
	seen := map[string]bool{}
	for _, p := range params {
		if seen[p.Name] {
			return true
		}
		seen[p.Name] = true
	}
	return false
}

// FuzzAppendRequest holds the encoder to the decoder.
func FuzzAppendRequest(f *testing.F) {
	f.Add("REQUEST_METHOD", "GET", "PATH_INFO", "/", int64(0))
	f.Add("A", "", "A", "b", int64(1<<62))
	f.Add("SCGI", "2", "CONTENT_LENGTH", "7", int64(3))
	f.Add("", "x", "A\x00", "\x00", int64(3))
	f.Fuzz(func(t *testing.T, name1, value1, name2, value2 string, length int64) {
		length &= 1<<63 - 1
		b, err := AppendRequest(nil, []gateway.Param{{Name: name1, Value: value1}, {Name: name2, Value: value2}}, length)
		if err != nil {
			if name1 != "" && name2 != "" && !strings.Contains(name1+value1+name2+value2, "\x00") {
				t.Fatal(err)
			}
			return
		}
		params, n, err := ParseRequest(append(b, "behind"...), len(b))
		if err != nil || n != len(b) {
			t.Fatalf("%q: %d, %v", b, n, err)
		}
		for _, p := range []gateway.Param{{Name: name1, Value: value1}, {Name: name2, Value: value2}} {
			if p.Name == contentLength || p.Name == version || p.Name == name2 && p.Value != value2 {
				continue
			}
			if got, _ := gateway.Lookup(params, p.Name); got != p.Value {
				t.Fatalf("%q is %q; want %q", p.Name, got, p.Value)
			}
		}
	})
}

func BenchmarkParseRequest(b *testing.B) {
	wire := read(b, "testdata/valid/nginx.wire")
	b.ReportAllocs()
	b.SetBytes(int64(len(wire)))
	for b.Loop() {
		if _, n, err := ParseRequest(wire, gateway.DefaultMaxParams); n == 0 || err != nil {
			b.Fatal(n, err)
		}
	}
}

func BenchmarkAppendRequest(b *testing.B) {
	params, _, err := ParseRequest(read(b, "testdata/valid/nginx.wire"), gateway.DefaultMaxParams)
	if err != nil {
		b.Fatal(err)
	}
	buf := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := AppendRequest(buf, params, 0); err != nil {
			b.Fatal(err)
		}
	}
}
