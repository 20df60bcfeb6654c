package supervise

import (
	"testing"
	"time"
)

func TestBackoff(t *testing.T) {
	b := Backoff{First: 100 * time.Millisecond, Limit: time.Second, Factor: 2}
	for range 2 {
		for _, want := range []time.Duration{100, 200, 400, 800, 1000, 1000} {
			want *= time.Millisecond
			if got := b.Next(); got < want*9/10 || got > want*11/10 {
				t.Errorf("delay %v, want %v and a tenth either way", got, want)
			}
		}
		b.Reset()
	}
	var zero Backoff
	if got := zero.Next(); got != 0 {
		t.Errorf("the zero value waits %v", got)
	}
}

func TestBackoffSpreads(t *testing.T) {
	seen := map[time.Duration]bool{}
	for range 20 {
		b := Backoff{First: time.Second, Limit: time.Second, Factor: 1}
		seen[b.Next()] = true
	}
	if len(seen) < 10 {
		t.Errorf("20 that failed together have %d different delays", len(seen))
	}
}
