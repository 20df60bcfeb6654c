package apache

// Redirect and RedirectMatch.

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"millrace/internal/adapt/pcre"
)

// redirect is Redirect and RedirectMatch. In a section without a path of its own
// the section's is meant.
func (l *lowering) redirect(d *directive, prefix string, c cond, guard *conf) {
	words := d.texts()
	code := 302
	switch d.name {
	case "redirectpermanent":
		code = 301
	case "redirecttemp":
	default:
		known := map[string]int{"permanent": 301, "temp": 302, "seeother": 303, "gone": 410}
		n, isNumber := 0, false
		if len(words) > 0 {
			if v, err := strconv.Atoi(words[0]); err == nil {
				n, isNumber = v, true
			} else if v, ok := known[strings.ToLower(words[0])]; ok {
				n, isNumber = v, true
			}
		}
		if isNumber && (len(words) > 1 || prefix != "") {
			code, words = n, words[1:]
		}
	}
	isStatus := code < 300 || code > 399
	if len(words) == 1 && !isStatus && prefix != "" {
		words = []string{prefix, words[0]}
	}
	if len(words) == 0 && isStatus && prefix != "" {
		words = []string{prefix}
	}
	switch {
	case isStatus && len(words) != 1, !isStatus && len(words) != 2:
		l.refuse(d, d.known.name+": Redirect URL not valid for this status", "a redirect has a URL, any other status has none")
		return
	case code < 200 || code > 599, !isStatus && !slices.Contains([]int{301, 302, 303, 307, 308}, code):
		l.refuse(d, fmt.Sprintf("%s: the status %d", d.known.name, code), "it takes 301, 302, 303, 307, 308, or one from 400 on without a URL")
		return
	}
	c.at = d.place
	from := words[0]
	rest := ""
	t := &texts{url: true}
	if d.name == "redirectmatch" {
		p, ok := l.regexp(d.place, from, false)
		if !ok {
			return
		}
		c.regexp = p.expr
		if p.not != "" {
			c.exclude = append(c.exclude, p.not)
		}
		t.groups, t.whole = pcre.Groups(p.expr), "{0}"
	} else {
		if !strings.HasPrefix(from, "/") {
			l.refuse(d, fmt.Sprintf("%s: the path %q does not begin with a slash", d.known.name, from), "write /"+from)
			return
		}
		switch {
		case isStatus:
			c = at(from, d.place)
		case from == "/":
			rest = "{path}"
		case strings.HasSuffix(from, "/"):
			c.regexp, rest = "^"+quoteMeta(from)+"(.*)$", "{1}"
		default:
			c.regexp, rest = "^"+quoteMeta(from)+"(/.*)?$", "{1}"
		}
	}
	if isStatus {
		l.site.emit(c, status(d.place, code)) // whoever may come in gets nothing either
		return
	}
	to, ok := l.expand(d, words[1], t)
	if !ok {
		return
	}
	if rest == "{path}" {
		if cut, ok := strings.CutSuffix(to, "/"); ok {
			to = cut
		} else {
			c.regexp, rest = "^/(.*)$", "{1}"
		}
	}
	if rest != "" {
		to += rest
	}
	if strings.HasSuffix(to, "{path}") {
		to = strings.TrimSuffix(to, "{path}") + "{uri}"
	} else if !strings.Contains(to, "?") {
		to += "?{query}"
	}
	var p pairs
	p.set("to", to, d.place)
	if code != 302 {
		p.set("status", code, d.place)
	}
	b := answer(d.place, "redirect", p.inline())
	if guard != nil {
		switch e, all := l.entry(guard); {
		case !all || len(e) > 1:
			l.refuse(d, d.known.name+" within a section with alternatives of who may come in", "write it outside of the section")
		case e[0].shut:
			b = l.refused(guard, placeOf(e[0].at))
		default:
			b.keys = append(b.keys, l.guard(guard, e[0])...)
		}
	}
	l.site.emit(c, b)
}
