package placeholder

// What is said of names that nothing stands behind.

import (
	"maps"
	"slices"
	"strings"

	"millrace/internal/suggest"
)

// unknown is the error for a name that is none.
func unknown(name string, scope Scope) *Error {
	names := slices.Collect(maps.Keys(plainNames))
	names = append(names, scope.Names...)
	names = append(names, scope.ExtraNames...)
	for family := range families {
		names = append(names, family+".NAME")
	}
	slices.Sort(names)
	names = slices.Compact(names)
	e := &Error{Problem: "unknown placeholder {" + show(name) + "}", Hint: "there are {" + strings.Join(names, "}, {") + "}; {{ is a brace"}
	if near := nearest(name, names); near != "" {
		e.Hint = "did you mean {" + near + "}?"
	}
	if family, key, dotted := strings.Cut(name, "."); dotted && key != "" {
		if near := nearest(family, slices.Sorted(maps.Keys(families))); near != "" {
			e.Hint = "did you mean {" + near + "." + show(key) + "}?"
		}
	}
	if strings.ContainsAny(name, " \t\n:\",") {
		e.Hint = "write {{ for a brace that is not a placeholder's"
	}
	return e
}

func noMap(name, key string, scope Scope) *Error {
	e := &Error{Problem: "{" + show(name) + "} names no map", Hint: "add [site.map." + show(key) + "]"}
	names := slices.Sorted(maps.Keys(scope.Maps))
	if near := nearest(key, names); near != "" {
		e.Hint = "did you mean {map." + near + "}?"
	} else if len(names) > 0 {
		e.Hint = "there are {map." + strings.Join(names, "}, {map.") + "}"
	}
	return e
}

func noTLS(name, key string) *Error {
	names := slices.Sorted(maps.Keys(tlsValues))
	e := &Error{Problem: "unknown placeholder {" + show(name) + "}", Hint: "there are {tls." + strings.Join(names, "}, {tls.") + "}"}
	if near := nearest(key, names); near != "" {
		e.Hint = "did you mean {tls." + near + "}?"
	}
	return e
}

// show bounds what a message shows of a name.
func show(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// nearest is the one of the sorted names that was most likely meant; "": none
// was.
func nearest(name string, names []string) string {
	return suggest.Nearest(strings.ToLower(name), names)
}
