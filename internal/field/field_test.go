package field

import (
	"strings"
	"testing"
)

func TestTokens(t *testing.T) {
	for list, want := range map[string]bool{
		"close": true, "Close": true, "a, close": true, " \tclose ,b": true, ",,close": true,
		"": false, "closed": false, "close b": false, "clo\u017fe": false, // a long s is no s here
	} {
		if got := HasToken(list, "close"); got != want {
			t.Errorf("%q: %v", list, got)
		}
	}
	if EqualFold("chun\u212aed", "chunked") || EqualFold("keep\ralive", "keep-alive") || !EqualFold("KEEP-alive", "keep-alive") {
		t.Error("not by ASCII alone")
	}
	if IsToken("") || IsToken("a b") || IsToken("a:") || IsToken("\u00e9") || !IsToken("X-a_1!") {
		t.Error("a token")
	}
}

// FuzzValue: eight bytes at a time say the same as one.
func FuzzValue(f *testing.F) {
	for _, s := range []string{"", "a\tb", "01234567\x7f", "0123456\x1f9", strings.Repeat("\xff", 8) + "\x00", "\x80\x1f\x20\x21\x7e\x7f\xa0 ", "       \x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		want := true
		for i := range len(s) {
			want = want && (s[i] >= ' ' && s[i] != 0x7f || s[i] == '\t')
		}
		if got := IsValue(s); got != want {
			t.Errorf("%q: %v", s, got)
		}
		if got := Trim(s); got != strings.Trim(s, " \t") {
			t.Errorf("%q is trimmed to %q", s, got)
		}
	})
}
