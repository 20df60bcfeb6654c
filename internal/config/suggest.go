package config

import (
	"fmt"
	"slices"
	"strings"

	"millrace/internal/suggest"
)

// hintFor is the hint for a key that the section does not have: a key that it
// was meant to be, or where it belongs, or that it is still to come, or what
// there is.
func hintFor(s *section, name string) string {
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
func sections(s *section) []*section { return appendSections(nil, s) }

func appendSections(all []*section, s *section) []*section {
	if slices.Contains(all, s) { // of two tables that have the same keys
		return all
	}
	all = append(all, s)
	for _, k := range s.keys {
		if k.within != nil {
			all = appendSections(all, k.within)
		}
	}
	return all
}

// nearest is the name that was most likely meant; "": none was.
func nearest(name string, names []string) string {
	return suggest.Nearest(strings.ToLower(strings.ReplaceAll(name, "-", "_")), names)
}
