package gateway

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// wireFiles are the files of a folder of testdata, of which there are some.
func wireFiles(t testing.TB, pattern string) map[string][]byte {
	t.Helper()
	names, err := filepath.Glob(filepath.Join("testdata", filepath.FromSlash(pattern)))
	if err != nil || len(names) == 0 {
		t.Fatalf("no file matches %s: %v", pattern, err)
	}
	files := map[string][]byte{}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = b
	}
	return files
}

// companion is the file beside a wire file that says what it means.
func companion(t testing.TB, name, extension string) string {
	t.Helper()
	b, err := os.ReadFile(strings.TrimSuffix(name, filepath.Ext(name)) + extension)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// describe is a head and what comes behind it, as the .want files have it.
func describe(h *Head, rest []byte) string {
	var b strings.Builder
	fmt.Fprintf(&b, "status %d\n", h.Status)
	if h.ContentLength >= 0 {
		fmt.Fprintf(&b, "length %d\n", h.ContentLength)
	}
	if h.LocalRedirect != "" {
		fmt.Fprintf(&b, "redirect %s\n", h.LocalRedirect)
	}
	for _, p := range h.Variables {
		fmt.Fprintf(&b, "variable %s=%s\n", p.Name, p.Value)
	}
	for _, name := range h.Dropped {
		fmt.Fprintf(&b, "dropped %s\n", name)
	}
	for _, name := range slices.Sorted(maps.Keys(h.Header)) {
		for _, value := range h.Header[name] {
			fmt.Fprintf(&b, "header %s: %s\n", name, value)
		}
	}
	if len(rest) > 0 {
		fmt.Fprintf(&b, "rest %q\n", rest)
	}
	return b.String()
}

func TestParseHeadValid(t *testing.T) {
	for name, wire := range wireFiles(t, "valid/*.head") {
		want := companion(t, name, ".want")
		h, n, err := ParseHead(wire)
		if err != nil || n == 0 {
			t.Errorf("%s: %d, %v", name, n, err)
			continue
		}
		if got := describe(h, wire[n:]); got != want {
			t.Errorf("%s: got\n%swant\n%s", name, got, want)
		}
		for end := range n { // whatever came so far, it is not a head
			if h, n, err := ParseHead(wire[:end]); h != nil || n != 0 || err != nil {
				t.Errorf("%s: the first %d bytes give %v, %d, %v", name, end, h, n, err)
			}
		}
		for end := n; end <= len(wire); end++ { // and the body does not matter
			if _, m, err := ParseHead(wire[:end]); m != n || err != nil {
				t.Errorf("%s: the first %d bytes give %d, %v; want %d", name, end, m, err, n)
			}
		}
	}
}

func TestParseHeadInvalid(t *testing.T) {
	for name, wire := range wireFiles(t, "invalid/*.head") {
		want := strings.TrimSpace(companion(t, name, ".err"))
		h, _, err := ParseHead(wire)
		if h != nil || !errors.Is(err, ErrBadResponse) || !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("%s: got %v, %v; want ErrBadResponse with %q", name, h, err, want)
		}
	}
}

// An error quotes a part of what is wrong, not all of it.
func TestParseHeadErrorIsShort(t *testing.T) {
	for _, wire := range []string{
		strings.Repeat("x", 1<<16) + "\n\n",
		"X: " + strings.Repeat("\x01", 1<<16) + "\n\n",
		strings.Repeat(" ", 1<<16) + ": a\n\n",
		"Status: " + strings.Repeat("x", 1<<16) + "\n\n",
		"Content-Length: " + strings.Repeat("x", 1<<16) + "\n\n",
	} {
		if _, _, err := ParseHead([]byte(wire)); err == nil || len(err.Error()) > 1000 {
			t.Errorf("%.16q: the error has %d bytes", wire, len(fmt.Sprint(err)))
		}
	}
}

func TestParseLength(t *testing.T) {
	for s, want := range map[string]int64{
		"0": 0, "7": 7, "007": 7, "9223372036854775807": 1<<63 - 1,
		"": -1, " 7": -1, "7 ": -1, "+7": -1, "-7": -1, "0x7": -1, "7_0": -1, "7.0": -1, "9223372036854775808": -1, "99999999999999999999": -1, "٧": -1,
	} {
		n, err := ParseLength(s)
		if err != nil {
			n = -1
		}
		if n != want {
			t.Errorf("ParseLength(%q) = %d, %v; want %d", s, n, err, want)
		}
	}
}

func TestAppendHead(t *testing.T) {
	for _, tt := range []struct {
		form   Form
		status int
		header http.Header
		want   string
	}{
		{FormCGI, 200, nil, "Status: 200 OK\r\n\r\n"},
		{FormHTTP, 404, nil, "HTTP/1.1 404 Not Found\r\n\r\n"},
		{FormCGI, 299, nil, "Status: 299 \r\n\r\n"},
		{FormCGI, 200, http.Header{"Set-Cookie": {"a=1", "b=2"}}, "Status: 200 OK\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\n"},
		{FormCGI, 200, http.Header{"X-A": {"b\r\nX-Evil: c", "\x00"}}, "Status: 200 OK\r\nX-A: b  X-Evil: c\r\nX-A:  \r\n\r\n"},
		{FormCGI, 200, http.Header{"X A": {"b"}, "X-A\r\nX-Evil": {"c"}, "": {"d"}, "Caf\xe9": {"e"}}, "Status: 200 OK\r\n\r\n"},
		{FormCGI, 200, http.Header{"Connection": {"close"}, "Transfer-Encoding": {"chunked"}, "Upgrade": {"x"}}, "Status: 200 OK\r\n\r\n"},
		{FormCGI, 200, http.Header{"Content-Type": nil}, "Status: 200 OK\r\n\r\n"},
	} {
		if got := string(AppendHead(nil, tt.form, tt.status, tt.header)); got != tt.want {
			t.Errorf("%d %v: got %q, want %q", tt.status, tt.header, got, tt.want)
		}
	}
}

// FuzzParseHead: what is accepted holds no control character, and is accepted
// again, and as the same, when it is written anew.
func FuzzParseHead(f *testing.F) {
	for _, wire := range wireFiles(f, "valid/*.head") {
		f.Add(wire)
	}
	for _, wire := range wireFiles(f, "invalid/*.head") {
		f.Add(wire)
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		h, n, err := ParseHead(wire)
		switch {
		case err != nil:
			if h != nil || !errors.Is(err, ErrBadResponse) {
				t.Fatalf("%v with %v", h, err)
			}
			return
		case n == 0:
			return
		case n > len(wire):
			t.Fatalf("%d of %d bytes", n, len(wire))
		}
		var all []string
		for name, values := range h.Header {
			all = append(append(all, name), values...)
			if Hop(name) {
				t.Errorf("%s is passed on", name)
			}
		}
		for _, p := range h.Variables {
			all = append(all, p.Name, p.Value)
		}
		for _, s := range append(all, h.LocalRedirect) {
			if hasControl(strings.ReplaceAll(s, "\t", "")) {
				t.Errorf("control character in %q", s)
			}
		}
		if h.Status < 200 || h.Status > 999 {
			t.Errorf("status %d", h.Status)
		}
		for _, form := range []Form{FormCGI, FormHTTP} {
			again := AppendHead(nil, form, h.Status, h.Header)
			if h.LocalRedirect != "" { // which has no status
				again = []byte("Location: " + h.LocalRedirect + again2(h))
			}
			got, m, err := ParseHead(again)
			if err != nil || m != len(again) {
				t.Fatalf("%q: %d, %v", again, m, err)
			}
			want := *h
			want.Dropped, want.Variables = nil, nil
			if !reflect.DeepEqual(*got, want) {
				t.Errorf("%q gives %+v, want %+v", again, *got, want)
			}
		}
	})
}

// again2 is the rest of a local redirect's head.
func again2(h *Head) string {
	_, rest, _ := strings.Cut(string(AppendHead(nil, FormCGI, h.Status, h.Header)), "\r")
	return "\r" + rest
}
