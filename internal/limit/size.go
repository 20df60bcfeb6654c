package limit

// This file: how large a body may be.

import (
	"fmt"
	"io"
	"net/http"
)

// Size refuses bodies of more than most bytes with 413: by their declared length
// before any of them is read, or asked for by 100 Continue. To one whose length
// nobody has declared it gives a Body whose Read fails with a
// *http.MaxBytesError when there is more; the answer is the handler's then.
func Size(next http.Handler, most int64) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.ContentLength > most:
			if r.ProtoMajor < 2 {
				w.Header().Set("Connection", "close") // the body is not read
			}
			http.Error(w, "Request Entity Too Large", http.StatusRequestEntityTooLarge)
			return
		case r.ContentLength < 0 && r.Body != nil && r.Body != http.NoBody:
			inner := r.Body
			r.Body = &sized{inner: inner, left: most, most: most}
			defer func() { r.Body = inner }() // as in Body
		}
		next.ServeHTTP(w, r)
	})
}

// sized is a body that ends with an error when it is too long.
type sized struct {
	inner io.ReadCloser
	left  int64
	most  int64
	err   error
}

func (s *sized) Read(p []byte) (int, error) {
	if s.err != nil || len(p) == 0 {
		return 0, s.err
	}
	if int64(len(p))-1 > s.left { // one more tells whether there is more
		p = p[:s.left+1]
	}
	n, err := s.inner.Read(p)
	if int64(n) <= s.left {
		s.left -= int64(n)
		s.err = err
		return n, err
	}
	n = int(s.left)
	s.left = 0
	s.err = fmt.Errorf("cannot read the request's body: %w", &http.MaxBytesError{Limit: s.most})
	return n, s.err
}

func (s *sized) Close() error { return s.inner.Close() }
