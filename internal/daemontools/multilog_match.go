package daemontools

// matches reports whether a pattern of multilog matches all of a line. A star
// stands for any bytes but the one that follows it in the pattern, at the end of
// the pattern for any bytes at all; whatever else stands for itself. It does not
// backtrack, and looks at no byte twice.
func matches(pattern string, line []byte) bool {
	for i := 0; i < len(pattern); {
		c := pattern[i]
		i++
		if c == '*' {
			if i == len(pattern) {
				return true
			}
			// The byte that ends the star is left to the next turn, where a second
			// star is a star again.
			for len(line) > 0 && line[0] != pattern[i] {
				line = line[1:]
			}
			if len(line) == 0 {
				return false
			}
			continue
		}
		if len(line) == 0 || line[0] != c {
			return false
		}
		line = line[1:]
	}
	return len(line) == 0
}
