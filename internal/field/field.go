// Package field reads the names and values that HTTP/1.1 is made of, for both of
// its sides: which bytes they may have (RFC 9110, section 5), lists of tokens, and
// comparisons without regard to case. All of it is about ASCII: what package
// unicode takes for the same letter is another byte here.
package field

// Classes of bytes; classes[b] is a set of them.
const (
	token = 1 << iota // RFC 9110, 5.6.2: methods and field names
	value             // RFC 9110, 5.5: field values; no control characters but the tab
)

var classes = func() (t [256]uint8) {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	for _, c := range []byte("0123456789" + letters + "!#$%&'*+-.^_`|~") {
		t[c] |= token
	}
	for c := range 256 {
		if c >= ' ' && c != 0x7f || c == '\t' {
			t[c] |= value
		}
	}
	return t
}()

func all(s string, class uint8) bool {
	for i := range len(s) {
		if classes[s[i]]&class == 0 {
			return false
		}
	}
	return true
}

// IsToken reports whether s may be a field's name, or a method.
func IsToken(s string) bool { return s != "" && all(s, token) }

// IsValueByte reports whether a field's value may have b.
func IsValueByte(b byte) bool { return classes[b]&value != 0 }

// A value is looked at eight bytes at a time.
const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// IsValue reports whether s may be a field's value.
func IsValue(s string) bool {
	for len(s) >= 8 {
		// The highest bit of a byte of low is set when it is below a space, of del
		// when it is 0x7f; bytes beyond 0x7f are left out. A borrow can mark a byte
		// too many, and never one too few: marked ones are looked at singly.
		x := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
			uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56 // one load
		del := x ^ ones*0x7f
		if ((x-ones*' ')&^x|(del-ones)&^del)&highs != 0 && !all(s[:8], value) {
			return false
		}
		s = s[8:]
	}
	return all(s, value)
}

// EqualFold compares without regard to case. word has letters, digits and
// hyphens alone.
func EqualFold(s, word string) bool {
	if s == word {
		return true
	}
	if len(s) != len(word) {
		return false
	}
	for i := range len(s) {
		a, b := s[i], word[i]
		if a != b && (a|0x20 != b|0x20 || a|0x20 < 'a' || a|0x20 > 'z') {
			return false
		}
	}
	return true
}

// HasToken reports whether a comma-separated list has an element.
func HasToken(list, word string) bool {
	for list != "" {
		var element string
		element, list = Cut(list, ',')
		if EqualFold(Trim(element), word) {
			return true
		}
	}
	return false
}

// Cut is strings.Cut at a byte.
func Cut(s string, sep byte) (before, after string) {
	for i := range len(s) {
		if s[i] == sep {
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}

// Trim takes optional white space from both ends (RFC 9110, 5.6.3).
func Trim(s string) string {
	for s != "" && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for s != "" && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}
