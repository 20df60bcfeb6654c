package main

// This file: status --watch.

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"
)

// minWatch keeps --watch from being a load.
const minWatch = 100 * time.Millisecond

// watchStatus shows what show writes every so often, until ctx is done: on a
// terminal in place, else one after the other. The first failure is the
// command's; a later one is shown, as the server may come back.
func watchStatus(ctx context.Context, out io.Writer, every time.Duration, show func(io.Writer) error) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for first := true; ; first = false {
		var text strings.Builder
		if err := show(&text); err != nil {
			if first || ctx.Err() != nil {
				return err
			}
			text.Reset()
			fmt.Fprintf(&text, "%s  %v\n", time.Now().Format(time.TimeOnly), err)
		}
		if err := paint(out, text.String(), first); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// paint writes a text; on a terminal over the one before, and no more of it
// than there is room for.
func paint(out io.Writer, text string, first bool) error {
	if !isTerminal(out) {
		if !first {
			text = "\n" + text
		}
		_, err := io.WriteString(out, text)
		return err
	}
	width, height := terminalSize(out)
	var b strings.Builder
	if first {
		b.WriteString("\x1b[2J") // clear
	}
	b.WriteString("\x1b[H") // to the top
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	for _, line := range fitLines(lines, width, height) {
		b.WriteString(line + "\x1b[K\n") // and nothing behind it
	}
	b.WriteString("\x1b[J") // nor below
	_, err := io.WriteString(out, b.String())
	return err
}

// fitLines cuts lines for a terminal; the last line is for the cursor. A size
// of 0 is not known.
func fitLines(lines []string, width, height int) []string {
	if height > 1 && len(lines) > height-1 {
		left := len(lines) - (height - 2)
		lines = append(lines[:max(height-2, 0):max(height-2, 0)], fmt.Sprintf("… and %d lines more", left))
	}
	for i, line := range lines {
		if width > 0 && utf8.RuneCountInString(line) > width {
			lines[i] = string([]rune(line)[:width-1]) + "…"
		}
	}
	return lines
}

// terminalSize is how many columns and lines a terminal has; 0: it does not
// tell.
func terminalSize(out io.Writer) (width, height int) {
	f, ok := out.(*os.File)
	if !ok {
		return 0, 0
	}
	return windowSize(f)
}
