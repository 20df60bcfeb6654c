package apache

// RewriteCond, as conditions of a route. What one route cannot hold goes on in
// groups, one after the other.

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// test is one RewriteCond: a text or a file, and what it must be.
type test struct {
	d       *directive
	key     string // value or exists
	on, is  string
	negated bool
	always  int // 1: it holds for every request, -1: for none
	groups  bool
}

// pairs is the test as a condition.
func (t *test) pairs() pairs {
	var in, out pairs
	in.set(t.on, t.is, t.d.place)
	out.set(t.key, in.inline(), t.d.place)
	return out
}

// staged is what conditions of a rule are left.
type staged struct {
	bad    bool
	stages []cond
}

// conditions puts those of a rule into c.
func (l *lowering) conditions(r *rule, c *cond, t *texts, expr string, w *rewriting) staged {
	var out staged
	groups := [][]test{}
	join := false
	for i := range r.conds {
		one, ok := l.test(&r.conds[i], t, expr, w)
		if !ok {
			out.bad = true
			return out
		}
		if join {
			groups[len(groups)-1] = append(groups[len(groups)-1], one)
		} else {
			groups = append(groups, []test{one})
		}
		join = r.conds[i].or
	}
	for i := len(groups) - 1; i >= 0; i-- { // the last that matches has the groups
		if g := groups[i]; len(g) == 1 && !g[0].negated && g[0].key == "value" {
			l.capture(&groups[i][0], r, t)
			break
		}
	}
	groups = merged(groups)
	for _, g := range groups {
		if len(g) > 1 { // one of several that holds for all, or none
			if slices.ContainsFunc(g, func(t test) bool { return t.always == 1 }) {
				continue
			}
			known := g[0]
			if g = slices.DeleteFunc(slices.Clone(g), func(t test) bool { return t.always == -1 }); len(g) == 0 {
				g = []test{known}
			}
		}
		switch {
		case len(g) == 1 && g[0].always == 1:
		case len(g) == 1 && g[0].always == -1:
			out.bad = true // the rule is for no request
			if r.has("c") {
				l.refuse(g[0].d, "RewriteCond that never holds, of a rule with [C]", "take the rules of the chain out")
			}
			return out
		case c.take(g):
		default:
			var stage cond
			if !stage.take(g) {
				out.bad = true
				l.refuse(r.d, "RewriteRule: its conditions are too many for one route", "part it into two rules")
				return out
			}
			out.stages = append(out.stages, stage)
		}
	}
	if len(out.stages) > 0 && (t.used || strings.Contains(r.d.arg(1), "%1")) {
		l.refuse(r.d, "RewriteRule: its conditions are too many for one route that also has %1", "part it into two rules")
		out.bad = true
	}
	return out
}

// merged joins the two of "neither a file nor a folder".
func merged(groups [][]test) [][]test {
	var out [][]test
	for _, g := range groups {
		if n := len(out); n > 0 && len(g) == 1 && len(out[n-1]) == 1 {
			a, b := &out[n-1][0], &g[0]
			if a.key == "exists" && b.key == "exists" && a.on == b.on && a.negated && b.negated && a.is != b.is {
				out[n-1] = []test{{d: a.d, key: "exists", on: a.on, is: "none"}}
				continue
			}
			if a.key == "value" && b.key == "value" && a.on == b.on && a.negated && b.negated && strings.HasPrefix(a.is, "~") && strings.HasPrefix(b.is, "~") {
				out[n-1] = []test{{d: a.d, key: "value", on: a.on, negated: true, is: "~(?:" + a.is[1:] + ")|(?:" + b.is[1:] + ")"}}
				continue
			}
		}
		if len(g) == 2 && g[0].key == "exists" && g[1].key == "exists" && g[0].on == g[1].on && !g[0].negated && !g[1].negated && g[0].is != g[1].is {
			g = []test{{d: g[0].d, key: "exists", on: g[0].on, is: "any"}} // a file or a folder
		}
		out = append(out, g)
	}
	return out
}

// take adds tests of which one must hold. False: there is no room for them.
func (c *cond) take(g []test) bool {
	if len(g) == 1 {
		one := g[0]
		list := &c.value
		if one.key == "exists" {
			list = &c.exists
		}
		switch {
		case !one.negated && list.get(one.on) == nil:
			list.set(one.on, one.is, one.d.place)
			return true
		case one.negated && len(c.not) == 0 && len(c.exclude) == 0:
			c.not = one.pairs()
			return true
		}
	}
	if len(c.any) > 0 {
		return false
	}
	for i := range g {
		of := g[i].pairs()
		if g[i].negated {
			var n pairs
			n.set("not", of.inline(), g[i].d.place)
			of = n
		}
		c.any = append(c.any, of)
	}
	return true
}

// stages are routes for conditions of a rule that one route has no room for:
// each in a group of its own.
func (l *lowering) stages(c cond, stages []cond, b body, label func(int) string) {
	next := label(1)
	first := l.site.unique("rule")
	l.site.emit(c, jump(b.at, first))
	back := l.site.group
	for i, stage := range stages {
		l.site.group = first
		act := b
		if i+1 < len(stages) {
			first = l.site.unique("rule")
			act = jump(b.at, first)
		} else {
			stage.regexp, stage.path = c.regexp, c.path
		}
		l.site.emit(stage, act)
		l.site.emit(cond{}, jump(b.at, next))
	}
	l.site.group = back
}

// test is one RewriteCond.
func (l *lowering) test(c *condition, t *texts, expr string, w *rewriting) (test, bool) {
	d := c.d
	one := test{d: d, key: "value"}
	text, is := d.arg(0), d.arg(1)
	if strings.EqualFold(text, "expr") {
		l.refuse(d, "RewriteCond expr: Apache's expressions are not carried over", "write RewriteCond %{NAME} PATTERN")
		return one, false
	}
	if rest, ok := strings.CutPrefix(is, "!"); ok {
		one.negated, is = true, rest
	}
	upper := strings.ToUpper(text)
	switch upper {
	case "%{HTTPS}", "%{SERVER_PORT_SECURE}":
		return l.testWords(one, "{scheme}", is, c, map[string]string{"on": "https", "off": "http"})
	case "%{ENV:REDIRECT_STATUS}":
		empty := is == "^$" || is == "=" || is == `=""` || is == "=''"
		if !empty || one.negated || w.server {
			l.refuse(d, "RewriteCond %{ENV:REDIRECT_STATUS}: only that it is empty can be asked", `write RewriteCond %{ENV:REDIRECT_STATUS} ^$`)
			return one, false
		}
		fixed, _ := fixedStart(below(w.prefix, strings.TrimPrefix(expr, "!")))
		one.on, one.is = "{request_uri}", "~^"+regexp.QuoteMeta(fixed) // what the client asked for itself
		return one, true
	}
	of := *t
	of.url = false
	of.conds = nil
	on, ok := l.expand(d, text, &of)
	if !ok {
		return one, false
	}
	if len(is) == 2 && is[0] == '-' && strings.ContainsRune("fdFesxlLhHU", rune(is[1])) {
		kind, ok := map[byte]string{'f': "file", 'd': "folder", 'e': "any"}[is[1]]
		if !ok {
			l.refuse(d, fmt.Sprintf("RewriteCond … %s is not carried over", is), "-f, -d and -e are: a file, a folder, anything that is there")
			return one, false
		}
		if on == "" || on[0] != '/' && !strings.HasPrefix(on, "{path}") {
			l.refuse(d, "RewriteCond … "+is+" of a text that is no absolute path", "begin it with %{DOCUMENT_ROOT} or %{REQUEST_FILENAME}")
			return one, false
		}
		on = strings.ReplaceAll(on, "//", "/")
		one.key, one.on, one.is = "exists", on, kind
		if kind == "any" && one.negated {
			one.is, one.negated = "none", false
		}
		return one, true
	}
	if !strings.Contains(on, "{") || strings.Count(on, "{{")*2 == strings.Count(on, "{") {
		holds, ok := l.fixedTest(d, strings.ReplaceAll(on, "{{", "{"), is, c.fold)
		one.always = -1
		if holds != one.negated {
			one.always = 1
		}
		return one, ok
	}
	one.on = on
	switch {
	case strings.HasPrefix(is, "="):
		is = strings.Trim(is[1:], `"`)
		switch {
		case c.fold:
			one.is = "~(?i)^" + regexp.QuoteMeta(is) + "$"
		case is == "*" || strings.HasPrefix(is, "~"):
			one.is = "~^" + regexp.QuoteMeta(is) + "$"
		default:
			one.is = is
		}
	case strings.HasPrefix(is, "<") || strings.HasPrefix(is, ">") || strings.HasPrefix(is, "-eq") || strings.HasPrefix(is, "-ne") || strings.HasPrefix(is, "-g") || strings.HasPrefix(is, "-l"):
		l.refuse(d, fmt.Sprintf("RewriteCond … %s: texts and numbers are compared for being the same alone", is), "write a regular expression")
		return one, false
	default:
		p, ok := l.regexp(d.args[1].place, is, c.fold)
		if !ok {
			return one, false
		}
		if p.not != "" {
			if p.expr != "^" && p.expr != "^.*" && p.expr != "^.*$" {
				l.refuse(d, "RewriteCond with a negative look-ahead before more", "write it as two conditions, one of them with !")
				return one, false
			}
			p.expr, one.negated = p.not, !one.negated
		}
		one.is = "~" + p.expr
		if one.is == "~." || one.is == "~.+" || one.is == "~^.+$" {
			one.is = "*"
		}
		if one.is == "~^$" {
			one.is = ""
		}
		if one.is == "" && one.negated {
			one.is, one.negated = "*", false
		}
	}
	return one, true
}

// testWords is a condition on something that is one of two words.
func (l *lowering) testWords(one test, on, is string, c *condition, values map[string]string) (test, bool) {
	var holds []string
	for word, value := range values {
		ok, good := l.fixedTest(c.d, word, is, true)
		if !good {
			return one, false
		}
		if ok != one.negated {
			holds = append(holds, value)
		}
	}
	one.negated = false
	switch len(holds) {
	case 0:
		one.always = -1
	case len(values):
		one.always = 1
	default:
		one.on, one.is = on, holds[0]
	}
	return one, true
}

// fixedTest is a test of a text that is the same for every request.
func (l *lowering) fixedTest(d *directive, text, is string, fold bool) (holds, ok bool) {
	if want, equal := strings.CutPrefix(is, "="); equal {
		want = strings.Trim(want, `"`)
		return text == want || fold && strings.EqualFold(text, want), true
	}
	p, good := l.regexp(d.args[1].place, is, fold)
	if !good {
		return false, false
	}
	return tried(p.expr, text) && (p.not == "" || !tried(p.not, text)), true
}

// capture names the groups of the last condition, where the rule wants them.
func (l *lowering) capture(one *test, r *rule, t *texts) {
	if !strings.HasPrefix(one.is, "~") || !r.captures() {
		return
	}
	expr := one.is[1:]
	if strings.Contains(r.d.arg(1), "%0") {
		if rest, fold := strings.CutPrefix(expr, "(?i)"); fold {
			expr = "(?i)(?P<c0>" + rest + ")"
		} else {
			expr = "(?P<c0>" + expr + ")"
		}
		t.conds[0] = "{c0}"
	}
	var b strings.Builder
	n, class := 0, false
	for i := 0; i < len(expr); i++ {
		c := expr[i]
		switch {
		case c == '\\' && i+1 < len(expr):
			b.WriteString(expr[i : i+2])
			i++
			continue
		case class:
			class = c != ']'
		case c == '[':
			class = true
		case c == '(' && (i+1 == len(expr) || expr[i+1] != '?'):
			n++
			name := fmt.Sprintf("c%d", n)
			b.WriteString("(?P<" + name + ">")
			t.conds[n] = "{" + name + "}"
			continue
		}
		b.WriteByte(c)
	}
	one.is = "~" + b.String()
	one.groups = true
	t.path = one.on == "{path}"
	for n++; n <= 9; n++ {
		t.conds[n] = ""
	}
}

// fixedStart is the text that what an expression matches begins with, behind
// "^".
func fixedStart(expr string) (string, bool) {
	re, err := regexp.Compile(strings.TrimPrefix(expr, "^"))
	if err != nil {
		return "", false
	}
	return re.LiteralPrefix()
}
