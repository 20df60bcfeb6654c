package encode

import (
	"testing"
	"time"
)

// A file that may be written again without a sign of it is not kept: for longer
// where times are whole seconds.
func TestSettle(t *testing.T) {
	e := NewEngine(0, 1<<20)
	at := time.Unix(1_800_000_000, 0)
	fine := at.Add(123456 * time.Nanosecond)
	for _, tt := range []struct {
		modified, changed time.Time
		after             time.Duration
		want              bool
	}{
		{fine, fine, 10 * time.Millisecond, false},
		{fine, fine, 100 * time.Millisecond, true},
		{at, fine, 100 * time.Millisecond, true}, // whose time somebody has set
		{at, at, 100 * time.Millisecond, false},
		{at, at, 2 * time.Second, false},
		{at, at, 4 * time.Second, true},
	} {
		id := FileID{Device: 1, Inode: 2, Size: 3, Modified: tt.modified.UnixNano(), Changed: tt.changed.UnixNano()}
		if got := e.keeps(id, at.Add(tt.after)); got != tt.want {
			t.Errorf("modified %v, changed %v, after %v: %v, want %v", tt.modified, tt.changed, tt.after, got, tt.want)
		}
	}
}
