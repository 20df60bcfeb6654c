package limit

import (
	"errors"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// sent is a body that tells whether it was read.
type sent struct {
	io.Reader
	read bool
}

func (s *sent) Read(p []byte) (int, error) {
	s.read = true
	return s.Reader.Read(p)
}

func (s *sent) Close() error { return nil }

func TestSize(t *testing.T) {
	for _, test := range []struct {
		name     string
		declared int64
		body     string
		status   int
		got      string
	}{
		{"fits", 5, "12345", 200, "12345"},
		{"declared too long", 6, "123456", 413, ""},
		{"declared far too long", math.MaxInt64, "", 413, ""},
		{"none", 0, "", 200, ""},
		{"chunked", -1, "12345", 200, "12345"},
		{"chunked, empty", -1, "", 200, ""},
		{"chunked, too long", -1, "123456", 400, "12345"},
		{"chunked, far too long", -1, strings.Repeat("x", 1000), 400, "xxxxx"},
	} {
		inner := &sent{Reader: strings.NewReader(test.body)}
		r := httptest.NewRequest("POST", "/", inner)
		r.Body, r.ContentLength = inner, test.declared
		var got []byte
		var err error
		w := httptest.NewRecorder()
		Size(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			got, err = io.ReadAll(r.Body)
			if err != nil {
				w.WriteHeader(http.StatusBadRequest)
			}
		}), 5).ServeHTTP(w, r)
		var long *http.MaxBytesError
		if w.Code != test.status || string(got) != test.got || (err != nil) != (test.status == 400) {
			t.Errorf("%s: %d, %q, %v; want %d, %q", test.name, w.Code, got, err, test.status, test.got)
		}
		if err != nil && !errors.As(err, &long) {
			t.Errorf("%s: %v is no MaxBytesError", test.name, err)
		}
		if test.status == 413 && (inner.read || w.Header().Get("Connection") != "close") {
			t.Errorf("%s: read %v, header %v", test.name, inner.read, w.Header())
		}
		if r.Body != inner {
			t.Errorf("%s: the request's body is not what it was", test.name)
		}
	}
}
