package nginx

// if: its condition, and the fork that it is.

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"millrace/internal/adapt/pcre"
)

// branches runs what follows where the condition of an if holds. Done says that
// it always does.
func (s *site) branches(d *directive, rest []*directive, st *state) (done bool) {
	yes := st.fork()
	known, ok := s.condition(d, &yes)
	if !ok {
		return false
	}
	if known == no {
		return false
	}
	inner := &level{parent: st.scope.level, context: 'l', at: d.at, list: d.block, of: d}
	if st.loc == nil {
		inner.context = 's'
		if s.chooses(d, st, known, yes) {
			return false
		}
	} else {
		yes.scope.level = inner
	}
	ops := inner.own(rewriting...)
	if len(inner.own("if")) > 0 {
		s.a.problem(inner.own("if")[0].at, `"if" directive is not allowed here`, "an if within an if does not work in nginx: set a variable in each, and ask for it behind them")
		return false
	}
	if known == yes_ {
		s.steps(append(slices.Clone(ops), rest...), yes)
		return true
	}
	if st.loc == nil && len(rest) == 0 && !terminal(ops) {
		// Nothing follows that would have to know.
		s.blur(ops, st)
		s.partly(ops, d, st)
		return false
	}
	s.steps(append(slices.Clone(ops), rest...), yes)
	s.blur(ops, st)
	return false
}

// partly runs the rewrites of a server's last if, which go on to the locations.
func (s *site) partly(ops []*directive, d *directive, st *state) {
	yes := st.fork()
	if _, ok := s.condition(d, &yes); !ok {
		return
	}
	yes.tail = true
	if len(ops) > 0 && slices.ContainsFunc(ops, func(o *directive) bool { return o.name == "rewrite" }) {
		s.steps(ops, yes)
	}
}

// terminal reports whether a program answers whatever comes.
func terminal(ops []*directive) bool {
	return slices.ContainsFunc(ops, func(d *directive) bool { return d.name == "return" })
}

// blur notes the variables of a server that are set where a condition holds:
// locations cannot tell where they come from.
func (s *site) blur(ops []*directive, st *state) {
	if terminal(ops) || st.loc != nil {
		return
	}
	for _, o := range ops {
		if o.name == "set" {
			s.blurred[strings.TrimPrefix(o.arg(0), "$")] = fmt.Sprintf("line %d", o.at.Line)
		}
	}
}

// chooses is a server's if that does nothing but set variables to what is the
// same for every request, by one text: a table says it as well.
func (s *site) chooses(d *directive, st *state, known answer, yes state) bool {
	added := yes.when.atoms[len(st.when.atoms):]
	if known != maybe || len(added) != 1 || added[0].not || len(yes.when.paths) != len(st.when.paths) || len(d.block) == 0 {
		return false
	}
	a := added[0]
	if a.op != '=' && a.op != '~' {
		return false
	}
	for _, o := range d.block {
		if o.name != "set" || len(o.args) != 2 || strings.Contains(o.arg(1), "$") {
			return false
		}
		before := st.scope.vars[strings.TrimPrefix(o.arg(0), "$")]
		made := s.chosen[before]
		if _, is := literal(before); !is && (made == nil || made.subject != a.subject) {
			return false
		}
	}
	*st = st.fork()
	for _, o := range d.block {
		name := strings.TrimPrefix(o.arg(0), "$")
		before := st.scope.vars[name]
		made := s.chosen[before]
		if made == nil {
			def, _ := literal(before)
			table := "set_" + name
			for n := 2; s.chosen["{map."+table+"}"] != nil; n++ {
				table = "set_" + name + strconv.Itoa(n)
			}
			made = &chosen{name: table, subject: a.subject, def: def, at: o.at}
			s.chosen["{map."+table+"}"] = made
			s.order = append(s.order, made)
		}
		made.values = append([][2]string{{"~" + asExpr(a), o.arg(1)}}, made.values...) // the last one set wins
		st.scope.vars[name] = "{map." + made.name + "}"
	}
	return true
}

// answer is whether a condition holds.
type answer uint8

const (
	maybe answer = iota
	yes_
	no
)

func known(b bool) answer {
	if b {
		return yes_
	}
	return no
}

// condition adds the condition of an if to a state, or says that it always, or
// never, holds. False: it was refused.
func (s *site) condition(d *directive, st *state) (answer, bool) {
	args := slices.Clone(d.args)
	invalid := func(w word) (answer, bool) {
		s.a.problem(w.at, fmt.Sprintf("invalid condition %q", w.text), "write ($variable), ($variable = value), ($variable ~ expression) or (-f path)")
		return no, false
	}
	if len(args) == 0 || !strings.HasPrefix(args[0].text, "(") {
		return invalid(word{text: d.arg(0), at: d.argAt(0)})
	}
	args[0].text = args[0].text[1:]
	if args[0].text == "" {
		args = args[1:]
	}
	last := len(args) - 1
	if last < 0 || !strings.HasSuffix(args[last].text, ")") {
		return invalid(d.args[0])
	}
	args[last].text = strings.TrimSuffix(args[last].text, ")")
	if args[last].text == "" && !args[last].quoted {
		args = args[:last]
	}
	if len(args) == 0 {
		return invalid(d.args[0])
	}
	first := args[0]
	if strings.HasPrefix(first.text, "-") || strings.HasPrefix(first.text, "!-") {
		if len(args) != 2 {
			return invalid(first)
		}
		return s.fileCondition(first, args[1], st)
	}
	if !strings.HasPrefix(first.text, "$") {
		return invalid(first)
	}
	subject, ok := st.scope.expand(first, forText)
	if !ok {
		return no, false
	}
	fixed, isFixed := literal(subject)
	switch {
	case len(args) == 1 && isFixed:
		return known(fixed != "" && fixed != "0"), true
	case len(args) == 1:
		st.when = st.when.with(s.holds(subject))
		return maybe, true
	case len(args) != 3:
		return invalid(first)
	}
	op := args[1].text
	if op != "=" && op != "!=" {
		return s.match(op, args, subject, st)
	}
	value, ok := st.scope.fixed(args[2], "what a variable is compared with")
	if !ok {
		return no, false
	}
	if isFixed {
		return known((fixed == value) == (op == "=")), true
	}
	st.when = st.when.with(atom{subject: subject, op: '=', value: value, not: op == "!="})
	return maybe, true
}

// holds is the condition that a text is neither empty nor "0".
func (s *site) holds(subject string) atom {
	name, is := strings.CutPrefix(subject, "{map.")
	if t := s.a.maps[strings.TrimSuffix(name, "}")]; is && t != nil {
		var yes []string
		for _, v := range append(slices.Clone(t.values), line{value: t.def}) {
			text := v.value.text
			if strings.Contains(text, "$") {
				return atom{subject: subject, op: '~', value: truth}
			}
			if text != "" && text != "0" && !slices.Contains(yes, text) {
				yes = append(yes, text)
			}
		}
		if len(yes) == 1 {
			return atom{subject: subject, op: '=', value: yes[0]}
		}
	}
	return atom{subject: subject, op: '~', value: truth}
}

// match is a condition with a regular expression.
func (s *site) match(op string, args []word, subject string, st *state) (answer, bool) {
	not, fold := strings.HasPrefix(op, "!"), strings.HasSuffix(op, "*")
	if plain := strings.TrimSuffix(strings.TrimPrefix(op, "!"), "*"); plain != "~" {
		s.a.problem(args[1].at, fmt.Sprintf("unexpected %q in condition", op), `it is "=", "!=", "~", "~*", "!~" or "!~*"`)
		return no, false
	}
	p, bad := newPattern(args[2].text, fold)
	if bad != nil {
		s.a.problem(args[2].at, bad.problem, bad.hint)
		return no, false
	}
	if p.except != "" && subject != "{path}" || p.except != "" && not {
		s.a.problem(args[2].at, fmt.Sprintf("regular expression %q looks ahead, which RE2 cannot", args[2].text), "write two ifs")
		return no, false
	}
	switch {
	case not:
		st.when = st.when.with(atom{subject: subject, op: '~', value: p.expr, not: true})
	case subject == "{path}":
		st.when = st.when.matching(p)
		st.scope.groups = nil
		for i := range p.groups {
			st.scope.groups = append(st.scope.groups, "{"+strconv.Itoa(i+1)+"}")
		}
		st.scope.names = append(slices.Clone(st.scope.names), nonEmpty(p.names)...)
	default:
		expr := p.expr
		if p.groups > 0 && s.usesGroups() {
			s.captures++
			var names []string
			expr, names = pcre.Name(p.expr, fmt.Sprintf("c%d_", s.captures))
			st.scope.groups, st.scope.names = nil, append(slices.Clone(st.scope.names), names...)
			for _, n := range names {
				st.scope.groups = append(st.scope.groups, "{"+n+"}")
			}
		}
		st.when = st.when.with(atom{subject: subject, op: '~', value: expr})
	}
	return maybe, true
}

// fileCondition is -f, -d, -e, -x and their opposites.
func (s *site) fileCondition(op, path word, st *state) (answer, bool) {
	kind := map[string]string{"-f": "file", "-d": "folder", "-e": "any"}[strings.TrimPrefix(op.text, "!")]
	if kind == "" {
		s.a.problem(op.at, fmt.Sprintf("unexpected %q in condition", op.text), "of files, -f, -d and -e are known here")
		return no, false
	}
	if st.scope.script == nil && st.scope.level.last("fastcgi_split_path_info") != nil && strings.Contains(path.text, "$fastcgi_") {
		s.a.problem(path.at, fmt.Sprintf("%q in an if is not carried over beside fastcgi_split_path_info: the path is not parted yet", path.text), "write try_files $fastcgi_script_name =404; in its place")
		return no, false
	}
	text, ok := st.scope.expand(path, forText)
	if !ok {
		return no, false
	}
	if !strings.HasPrefix(text, "/") {
		s.a.problem(path.at, fmt.Sprintf("%q is not an absolute path", path.text), "write $request_filename, or $document_root and a path")
		return no, false
	}
	st.when = st.when.with(atom{subject: text, op: 'f', value: kind, not: strings.HasPrefix(op.text, "!")})
	return maybe, true
}
