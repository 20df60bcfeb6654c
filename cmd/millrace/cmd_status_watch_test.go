package main

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestWatchStatus: into a pipe one text follows the other; an error after the first
// is shown, and the next text follows.
func TestWatchStatus(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n := 0
	var out strings.Builder
	err := watchStatus(ctx, &out, time.Millisecond, func(w io.Writer) error {
		switch n++; n {
		case 2:
			return errors.New("it is away")
		case 3:
			cancel()
		}
		_, err := io.WriteString(w, strings.Repeat("x", n)+"\n")
		return err
	})
	lines := strings.Split(out.String(), "\n")
	if err != nil || len(lines) != 6 || lines[0] != "x" || lines[1] != "" || !strings.HasSuffix(lines[2], "  it is away") || lines[3] != "" || lines[4] != "xxx" {
		t.Errorf("%v, %q", err, lines)
	}
	away := errors.New("nobody is there")
	if err := watchStatus(t.Context(), &out, time.Millisecond, func(io.Writer) error { return away }); !errors.Is(err, away) {
		t.Errorf("a first failure: %v", err)
	}
}

func TestFitLines(t *testing.T) {
	lines := []string{"one", "two and a half", "three", "four"}
	for _, tt := range []struct {
		width, height int
		want          []string
	}{
		{0, 0, lines},
		{80, 5, lines},
		{80, 4, []string{"one", "two and a half", "… and 2 lines more"}},
		{5, 9, []string{"one", "two …", "three", "four"}},
		{80, 2, []string{"… and 4 lines more"}},
		{80, 1, lines},
	} {
		if got := fitLines(slices.Clone(lines), tt.width, tt.height); !slices.Equal(got, tt.want) {
			t.Errorf("%d×%d: %q, want %q", tt.width, tt.height, got, tt.want)
		}
	}
}
