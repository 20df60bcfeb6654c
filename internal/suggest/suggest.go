// Package suggest finds the name that was probably meant by one that nothing
// stands behind.
package suggest

// maxName bounds what is compared: a longer name was not meant to be any.
const maxName = 64

// Nearest returns the one of names that is nearest to name, the first of those
// that are equally near; "" if none is: a third of a name's letters may be
// wrong, missing, too many, or swapped with a neighbour. Letters are compared
// as they are.
func Nearest(name string, names []string) string {
	if len(name) > maxName {
		return ""
	}
	best, least := "", maxName
	for _, candidate := range names {
		if n := distance(name, candidate); n < least && n <= max(1, len(candidate)/3) {
			best, least = candidate, n
		}
	}
	return best
}

// distance counts the insertions, deletions, substitutions and swaps of
// neighbours that make a into b.
func distance(a, b string) int {
	before, last, now := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		now[0] = i + 1
		for j := range len(b) {
			differs := 1
			if a[i] == b[j] {
				differs = 0
			}
			now[j+1] = min(last[j]+differs, last[j+1]+1, now[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				now[j+1] = min(now[j+1], before[j-1]+1)
			}
		}
		before, last, now = last, now, before
	}
	return last[len(b)]
}
