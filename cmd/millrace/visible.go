package main

// This file is about terminals, which must not be moved by what a peer says.

import (
	"fmt"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"
)

// visible shows control characters, and bytes that are no text, as escapes.
func visible(text string) string {
	var b strings.Builder
	for i, r := range text {
		_, size := utf8.DecodeRuneInString(text[i:])
		switch {
		case r == utf8.RuneError && size == 1, r < 0x80 && unicode.IsControl(r) && r != '\t':
			fmt.Fprintf(&b, `\x%02x`, text[i])
		case unicode.IsControl(r), unicode.Is(unicode.Cf, r): // the latter turn the direction of writing
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// isTerminal reports whether w is a terminal, or another device that is no
// file and no pipe.
func isTerminal(w any) bool {
	if n, ok := w.(nopCloser); ok {
		w = n.Writer
	}
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
