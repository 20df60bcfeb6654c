package script

// Where in a path a script may end.

// nextEnd is the first index behind from at which a script may end: behind an
// extension that is followed by "/" or by nothing. 0: there is none.
func nextEnd(path string, from int, extensions []string) int {
	for i := from + 1; i <= len(path); i++ {
		if i < len(path) && path[i] != '/' {
			continue
		}
		for _, ext := range extensions {
			if n := i - len(ext); n >= 0 && equalFold(path[n:i], ext) {
				return i
			}
		}
	}
	return 0
}

// equalFold compares texts of one length; ASCII letters, and they alone, count
// in either case: "ſ" is no "s", and "K" (the Kelvin sign) no "k".
func equalFold(a, b string) bool {
	for i := range len(a) {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
