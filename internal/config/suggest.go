package config

import (
	"fmt"
	"slices"
	"strings"
)

// suggest is the hint for a key that the section does not have: a key that it
// was meant to be, or where it belongs, or that it is still to come, or what
// there is.
func suggest(s *section, name string) string {
	if slices.Contains(planned(s), name) {
		return "not available in this version"
	}
	var names []string
	for _, k := range s.keys {
		names = append(names, k.name)
	}
	if near := nearest(name, names); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	for _, other := range sections(fileSection) {
		if other.key(name) != nil {
			return fmt.Sprintf("%q belongs in %s", name, other.label(other.example))
		}
		if slices.Contains(planned(other), name) {
			return "not available in this version"
		}
	}
	slices.Sort(names)
	return "the keys are " + strings.Join(names, ", ")
}

// sections is s and all that is within it, in the order of the table.
func sections(s *section) []*section {
	all := []*section{s}
	for _, k := range s.keys {
		if k.within != nil {
			all = append(all, sections(k.within)...)
		}
	}
	return all
}

// nearest is the name that was most likely meant: a third of its letters may
// be wrong, or missing, or too many, or swapped.
func nearest(name string, names []string) string {
	if len(name) > 64 {
		return ""
	}
	name = strings.ToLower(strings.ReplaceAll(name, "-", "_"))
	best, least := "", 1000
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
