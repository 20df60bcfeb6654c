package lighttpd

// This file: url.rewrite-*, url.redirect, and the texts that they make.

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"millrace/internal/adapt/document"
	"millrace/internal/adapt/pcre"
)

// Directives that fill one list of rules: of the last block that has any of them,
// those of all its names in this order, of which the last may be repeated.
var (
	rewriteNames   = []string{"url.rewrite-once", "url.rewrite-final", "url.rewrite", "url.rewrite-repeat"}
	notFileNames   = []string{"url.rewrite-if-not-file", "url.rewrite-repeat-if-not-file"}
	repeatingNames = []string{"url.rewrite-repeat", "url.rewrite-repeat-if-not-file"}
)

func oneOf(names []string) func(*setting) bool {
	return func(s *setting) bool { return slices.Contains(names, s.name) }
}

// has reports whether one of some directives may hold in a site.
func (l *lowering) has(names []string, all []known) bool {
	return slices.ContainsFunc(l.blocks, func(b *block) bool {
		return slices.ContainsFunc(names, func(n string) bool { return b.byName[n] != nil }) && l.active(b, all) != no
	})
}

// rule is one line of a list of rules.
type rule struct {
	item
	repeat bool
	expr   string
	groups int
}

// rules are those of some names in a block.
func (l *lowering) rules(b *block, names []string) []rule {
	var all []rule
	for _, name := range names {
		s := b.byName[name]
		if s == nil {
			continue
		}
		for _, of := range s.value.items {
			if !of.keyed || of.value.shape == isList {
				l.problems.Add(of.at, name+` takes "regexp" => "text"`, "write a string, =>, and a string")
				continue
			}
			expr, problem := translate(of.key)
			if problem != "" {
				l.problems.Add(of.at, "regular expression "+quote(of.key)+" "+problem, hintOfRegexp)
				continue
			}
			re, err := regexp.Compile(expr)
			if err != nil {
				continue
			}
			if expr == "" {
				expr = "^"
			}
			all = append(all, rule{of, slices.Contains(repeatingNames, name), expr, re.NumSubexp()})
		}
	}
	return all
}

// rewrites writes the routes that change the path, and hand what they have done with
// to a group: all to next, but what was rewritten once and for all to done.
func (l *lowering) rewrites(h hostCase, all []known, names []string, next, done string) []*route {
	var out []*route
	leaves := l.leaves(all, oneOf(names))
	for _, lf := range leaves {
		conds := condsOf(lf.path)
		if b := l.effectiveBlock(names, lf.all); b != nil {
			for _, r := range l.rules(b, names) {
				out = append(out, l.rewrite(h, b, r, next, done).when(conds...))
			}
		}
		at := l.blocks[0].at
		if len(conds) > 0 {
			at = conds[0].at
		}
		out = append(out, (&route{at: at}).set("goto", next, at).when(conds...))
	}
	return out
}

func condsOf(path []known) []cond {
	var out []cond
	for _, k := range path {
		out = append(out, condOf(k)...)
	}
	return out
}

func (l *lowering) rewrite(h hostCase, b *block, r rule, next, done string) *route {
	out := &route{at: r.at}
	text, conds := l.text(h, b, r)
	out.when(append(conds, cond{key: "uri", value: r.expr, at: r.at})...)
	switch {
	case text == "": // nothing is rewritten, and no other rule is asked
		return out.set("goto", next, r.at)
	case r.repeat:
		to := document.Inline()
		to.Set("to", text, r.value.at)
		to.Set("repeat", true, r.value.at)
		return out.set("rewrite", to, r.value.at)
	}
	return out.set("rewrite", text, r.value.at).set("goto", done, r.value.at)
}

// redirects are the routes of url.redirect in a case.
func (l *lowering) redirects(h hostCase, all []known) []*route {
	b := l.effectiveBlock([]string{"url.redirect"}, all)
	if b == nil {
		return nil
	}
	status := 301
	if s := l.effective("url.redirect-code", all); s != nil {
		if status = int(number(s.value)); !slices.Contains([]int{301, 302, 303, 307, 308}, status) {
			l.problems.Add(s.value.at, "url.redirect-code cannot be carried over: "+strconv.Itoa(status)+" is no redirect", "it takes 301, 302, 303, 307 or 308")
		}
	}
	var out []*route
	var stopped []cond // rules with an empty text: the end of the list for what they match
	for _, r := range l.rules(b, []string{"url.redirect"}) {
		text, conds := l.text(h, b, r)
		if text == "" {
			stopped = append(stopped, cond{key: "uri", value: r.expr, not: true, at: r.at})
			continue
		}
		to := document.Inline()
		to.Set("to", text, r.value.at)
		to.Set("status", status, r.value.at)
		of := (&route{at: r.at}).set("redirect", to, r.value.at)
		out = append(out, of.when(append(append(conds, cond{key: "uri", value: r.expr, at: r.at}), stopped...)...))
	}
	return out
}

// text is the replacement of a rule as a text with placeholders, and the conditions
// that find the groups of the enclosing condition, %1.
func (l *lowering) text(h hostCase, b *block, r rule) (string, []cond) {
	var out strings.Builder
	var conds []cond
	from, query := r.value.string(), false
	fixed := func(s string) {
		query = query || strings.Contains(s, "?")
		out.WriteString(document.Literal(s))
	}
	for i := 0; i < len(from); i++ {
		c := from[i]
		if c != '$' && c != '%' || i+1 == len(from) {
			fixed(from[i : i+1])
			continue
		}
		i++
		switch n := from[i]; {
		case n == c:
			fixed(encodedPercent(c))
		case n == '{':
			end := strings.IndexByte(from[i:], '}')
			if end < 0 {
				l.problems.Add(r.value.at, "${ without } in "+quote(from), "write ${qsa}, ${url.path} or $1")
				return "-", nil
			}
			l.braced(&out, from[i+1:i+end], c, query, r)
			i += end
		case n < '0' || n > '9':
			if c == '%' && i+1 < len(from) && isHexadecimal(n) && isHexadecimal(from[i+1]) {
				fixed("%" + string(n))
				continue
			}
			fixed(encodedPercent(c) + string(n))
		case c == '$':
			if g := int(n - '0'); g <= r.groups {
				out.WriteString("{" + string(n) + "}")
			}
		default:
			text, more := l.captured(h, b, int(n-'0'))
			out.WriteString(text)
			conds = append(conds, more...)
		}
	}
	return out.String(), conds
}

func isHexadecimal(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f'
}

// encodedPercent is a character that begins no placeholder.
func encodedPercent(c byte) string {
	if c == '%' {
		return "%25"
	}
	return "$"
}

// braced is ${…}.
func (l *lowering) braced(out *strings.Builder, name string, sigil byte, query bool, r rule) {
	if n, err := strconv.Atoi(name); err == nil && n >= 0 && sigil == '$' {
		if n <= r.groups {
			out.WriteString("{" + strconv.Itoa(n) + "}")
		}
		return
	}
	switch name {
	case "qsa":
		if query {
			out.WriteString("&{query}")
		} else {
			out.WriteString("?{query}")
		}
	case "url.scheme":
		out.WriteString("{scheme}")
	case "url.authority":
		out.WriteString("{header.Host}")
	case "url.port":
		out.WriteString("{port}")
	case "url.path":
		out.WriteString("{path}")
	case "url.query":
		out.WriteString("{query}")
	default:
		l.problems.Add(r.value.at, string(sigil)+"{"+shown(name)+"} cannot be carried over", "write ${qsa}, ${url.scheme}, ${url.authority}, ${url.port}, ${url.path}, ${url.query}, or $1")
	}
}

// captured is %n: a group of what the condition of the block has matched.
func (l *lowering) captured(h hostCase, b *block, n int) (string, []cond) {
	of, ok := l.atoms[b]
	if !ok || of.opposite || of.atom.op != "=~" || n > of.atom.re.NumSubexp() {
		return "", nil
	}
	a := of.atom
	if a.field == "host" {
		switch {
		case h.of == a && n == 0:
			return "{host}", nil
		case h.of == a:
			return "{host" + strconv.Itoa(n) + "}", nil
		case h.name != "":
			if groups := a.re.FindStringSubmatch(h.name); groups != nil {
				return document.Literal(groups[n]), nil
			}
			return "", nil
		}
	}
	from := map[string]string{"url": "{path}", "host": "{host}", "query-string": "{normal_query}", "remote-ip": "{client}", "request-method": "{method}", "scheme": "{scheme}", "header": "{header." + a.name + "}"}[a.field]
	if n == 0 {
		return from, nil
	}
	named, _ := pcre.Name(a.expression(), "of")
	return "{of" + strconv.Itoa(n) + "}", []cond{{key: "value", name: from, value: "~" + named, at: a.first.at}}
}
