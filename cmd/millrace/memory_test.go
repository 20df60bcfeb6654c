package main

import "testing"

// TestRests: a server that works is left alone, and one that rests is once.
func TestRests(t *testing.T) {
	const mb = 1 << 20
	for name, tt := range map[string]struct {
		before, collected, now heap
		want                   bool
	}{
		"at rest":                    {heap{allocated: 100 * mb}, heap{}, heap{100 * mb, 50 * mb, 20 * mb}, true},
		"busy":                       {heap{allocated: 90 * mb}, heap{}, heap{100 * mb, 50 * mb, 20 * mb}, false},
		"little garbage":             {heap{allocated: 100 * mb}, heap{}, heap{100 * mb, 9 * mb, 5 * mb}, false},
		"collected already":          {heap{allocated: 100 * mb}, heap{allocated: 100 * mb}, heap{100 * mb, 50 * mb, 20 * mb}, false},
		"a little more, since then":  {heap{allocated: 101 * mb}, heap{allocated: 100 * mb}, heap{101 * mb, 50 * mb, 20 * mb}, false},
		"worked meanwhile":           {heap{allocated: 900 * mb}, heap{allocated: 100 * mb}, heap{900 * mb, 50 * mb, 20 * mb}, true},
		"much that lives, all of it": {heap{allocated: 900 * mb}, heap{allocated: 100 * mb}, heap{900 * mb, 50 * mb, 90 * mb}, false},
	} {
		if got := tt.now.rests(tt.before, tt.collected); got != tt.want {
			t.Errorf("%s: %t", name, got)
		}
	}
	if h := readHeap(); h.allocated == 0 || h.objects == 0 {
		t.Errorf("the runtime tells nothing: %+v", h)
	}
}
