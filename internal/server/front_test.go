package server

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestLinger: how long a front that drains waits before it turns requests
// away, by what becomes of its connections.
func TestLinger(t *testing.T) {
	for name, tt := range map[string]struct {
		protocol string
		conns    int
		fresh    int
		steps    func(f *front)
		want     time.Duration
	}{
		"nobody":           {"http", 0, 0, nil, 0},
		"idle":             {"http", 1, 0, nil, linger},
		"idle, of scgi":    {"scgi", 1, 0, nil, 0},
		"new for ever":     {"http", 2, 1, nil, lingerFresh},
		"new, of scgi":     {"scgi", 1, 1, nil, lingerFresh},
		"ends":             {"http", 1, 0, func(f *front) { time.Sleep(linger / 2); f.count(-1, 0) }, linger / 2},
		"new, begins soon": {"http", 1, 1, func(f *front) { time.Sleep(linger / 2); f.count(0, -1) }, linger},
		"new, begins late": {"http", 2, 1, func(f *front) { time.Sleep(2 * linger); f.count(0, -1) }, 2 * linger},
		"new, ends late":   {"scgi", 2, 1, func(f *front) { time.Sleep(2 * linger); f.count(-1, -1) }, 2 * linger},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &front{frontSpec: frontSpec{protocol: tt.protocol}, total: new(atomic.Int64), changed: make(chan struct{}, 1)}
				f.count(tt.conns, tt.fresh)
				if tt.steps != nil {
					go tt.steps(f)
				}
				began := time.Now()
				f.linger(t.Context())
				if got := time.Since(began); got != tt.want {
					t.Errorf("it waited %v, want %v", got, tt.want)
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		f := &front{frontSpec: frontSpec{protocol: "http"}, total: new(atomic.Int64), changed: make(chan struct{}, 1)}
		f.count(1, 1)
		ctx, cancel := context.WithTimeout(t.Context(), linger/5)
		defer cancel()
		began := time.Now()
		f.linger(ctx)
		if got := time.Since(began); got != linger/5 {
			t.Errorf("it waited %v beyond its context", got)
		}
	})
}
