package stall

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"
)

// slow takes a while over each write, and fails at its deadline as a stream does.
type slow struct {
	*httptest.ResponseRecorder
	took     time.Duration
	deadline time.Time
	writes   int
	set      int
}

var errDeadline = errors.New("deadline")

func (s *slow) SetWriteDeadline(t time.Time) error { s.deadline = t; s.set++; return nil }

func (s *slow) Write(b []byte) (int, error) {
	s.writes++
	if until := time.Until(s.deadline); until < s.took {
		time.Sleep(until)
		return 0, errDeadline
	}
	time.Sleep(s.took)
	return s.ResponseRecorder.Write(b)
}

func TestWriter(t *testing.T) {
	for _, test := range []struct {
		name string
		took time.Duration // of a piece
		size int
		want error
		sets int // deadlines that are set
	}{
		{"nothing", 0, 0, nil, 1},
		{"small and quick", 0, 10, nil, 1},
		{"large and quick", 0, 10 * piece, nil, 1},
		{"large and slow: an hour and more", 50 * time.Second, 100 * piece, nil, 67},
		{"stopped", 3 * time.Minute, 10 * piece, errDeadline, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				inner := &slow{ResponseRecorder: httptest.NewRecorder(), took: test.took}
				w := New(inner, time.Minute)
				text := bytes.Repeat([]byte("0123456789"), test.size/10+1)[:test.size]
				began := time.Now()
				n, err := w.Write(text)
				if !errors.Is(err, test.want) || err == nil && (n != test.size || !bytes.Equal(inner.Body.Bytes(), text)) {
					t.Errorf("%d, %v; want %d, %v", n, err, test.size, test.want)
				}
				if took := time.Since(began); err != nil && (took < time.Minute || took > 2*time.Minute) {
					t.Errorf("cut after %v", took)
				}
				if inner.set > test.sets || inner.set == 0 {
					t.Errorf("%d deadlines for %d writes, want %d at most", inner.set, inner.writes, test.sets)
				}
			})
		})
	}
}

func TestFlush(t *testing.T) {
	inner := &slow{ResponseRecorder: httptest.NewRecorder()}
	if err := http.NewResponseController(New(inner, time.Minute)).Flush(); err != nil || !inner.Flushed || inner.set != 1 {
		t.Errorf("%v, flushed: %v, deadlines: %d", err, inner.Flushed, inner.set)
	}
}
