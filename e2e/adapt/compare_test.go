package adapt

// This file: two responses to one request, and what is not the same of them.

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// difference is one thing that is not the same.
type difference struct {
	field        string // "status", "body", a header's name, or "env NAME" of what a back end got
	theirs, ours string // "": none
}

func (d difference) String() string {
	return fmt.Sprintf("%s: %s, not %s", d.field, shorten(d.ours), shorten(d.theirs))
}

func shorten(s string) string {
	const most = 160
	if len(s) > most {
		s = s[:most] + "…"
	}
	return fmt.Sprintf("%q", s)
}

// unlike are headers that are no part of a site's behaviour: when it was, by
// what program, and how the connection goes on.
var unlike = []string{"Date", "Server", "Connection", "Keep-Alive", "Transfer-Encoding", "Content-Length", "X-Instance"}

// presence are headers of which it counts whether they are there: an ETag is
// asked with again (requests_test.go), the time in Expires goes on.
var presence = []string{"Etag", "Expires"}

// compare lists what is not the same of two responses.
func compare(theirs, ours *response) []difference {
	if theirs.failed != "" || ours.failed != "" {
		if (theirs.failed == "") == (ours.failed == "") {
			return nil
		}
		return []difference{{"connection", theirs.failed, ours.failed}}
	}
	var all []difference
	add := func(field, t, o string) {
		if t != o {
			all = append(all, difference{field, t, o})
		}
	}
	add("status", fmt.Sprint(theirs.status), fmt.Sprint(ours.status))
	names := slices.Sorted(maps.Keys(union(theirs.header, ours.header)))
	for _, name := range names {
		t, o := theirs.header.Values(name), ours.header.Values(name)
		switch {
		case slices.Contains(unlike, name):
			continue
		case slices.Contains(presence, name):
			add(name, there(t), there(o))
		case name == "Vary" || name == "Allow":
			add(name, set(t), set(o))
		default:
			add(name, strings.Join(t, "\n"), strings.Join(o, "\n"))
		}
	}
	te, tb, isEcho := echoed(theirs.body)
	oe, ob, same := echoed(ours.body)
	if isEcho && same {
		for _, name := range slices.Sorted(maps.Keys(union(te, oe))) {
			t, o := te[name], oe[name]
			if name == "REMOTE_PORT" || name == "SERVER_SOFTWARE" {
				t, o = []string{there(t)}, []string{there(o)}
			}
			add("env "+name, strings.Join(t, "\n"), strings.Join(o, "\n"))
		}
		add("body", tb, ob)
	} else {
		add("body", theirs.body, ours.body)
	}
	return all
}

func union[V any](a, b map[string]V) map[string]V {
	all := maps.Clone(a)
	if all == nil {
		all = map[string]V{}
	}
	maps.Copy(all, b)
	return all
}

func there(values []string) string {
	if len(values) > 0 {
		return "there"
	}
	return ""
}

// set is a list of names in one order and one case.
func set(values []string) string {
	names := strings.FieldsFunc(strings.ToLower(strings.Join(values, ",")), func(r rune) bool { return r == ',' || r == ' ' })
	slices.Sort(names)
	return strings.Join(slices.Compact(names), ", ")
}

// echoed parts what the echo answered: what it got, and the body of the request.
func echoed(body string) (env http.Header, rest string, ok bool) {
	head, rest, found := strings.Cut(body, "\nbody\n")
	lines, is := strings.CutPrefix(head, "echo\n")
	if !found || !is {
		return nil, body, false
	}
	env = http.Header{}
	for line := range strings.Lines(lines) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		env[name] = append(env[name], value)
	}
	return env, rest, true
}
