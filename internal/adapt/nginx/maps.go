package nginx

// Variables that are tables: map, geo, split_clients.

import (
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	"millrace/internal/adapt/document"
)

// table is a variable of map, geo or split_clients.
type table struct {
	name   string
	of     *directive
	from   word
	values []line
	def    word
	kind   string // "": a map; networks or split
}

// line is one of a table.
type line struct {
	key   string
	value word
}

// collectTables reads all tables of http.
func (a *adapter) collectTables(l *level) {
	for _, d := range l.own("map", "geo", "split_clients") {
		name := d.arg(len(d.args) - 1)
		at := d.argAt(len(d.args) - 1)
		if !strings.HasPrefix(name, "$") || len(name) < 2 {
			a.problem(at, fmt.Sprintf("invalid variable name %q", name), "the variable that the table makes begins with $")
			continue
		}
		t := &table{name: name[1:], of: d}
		switch d.name {
		case "map":
			t.from = d.args[0]
			a.readMap(t)
		case "geo":
			t.from = word{text: "$remote_addr", at: d.at}
			if len(d.args) == 2 {
				t.from = d.args[0]
			}
			t.kind = "networks"
			a.readGeo(t)
		default:
			t.from, t.kind = d.args[0], "split"
			a.readSplit(t)
		}
		a.maps[t.name] = t
	}
}

var groupOfLine = regexp.MustCompile(`\$\{?[0-9]`)

// tableValue is a value of a table. It may have variables, but for what its own line
// has found.
func (a *adapter) tableValue(w word) (word, bool) {
	if groupOfLine.MatchString(w.text) {
		a.problem(w.at, fmt.Sprintf("the value %q of a table has a group of its expression", w.text), "find it where the table is used")
		return w, false
	}
	return w, true
}

func (a *adapter) readMap(t *table) {
	var expressions []line
	hostnames, seen, haveDefault := false, map[string]bool{}, false
	for _, words := range t.of.lines {
		key := words[0]
		switch {
		case key.text == "hostnames" && len(words) == 1:
			hostnames = true
			continue
		case key.text == "volatile" && len(words) == 1:
			continue
		case len(words) != 2:
			a.problem(key.at, "invalid number of the map parameters", "a line is a value and what it becomes")
			continue
		}
		value, ok := a.tableValue(words[1])
		if !ok {
			continue
		}
		text := key.text
		switch {
		case text == "default" && !key.quoted:
			if haveDefault {
				a.problem(key.at, "duplicate default map parameter", "leave one of them out")
			}
			t.def, haveDefault = value, true
			continue
		case strings.HasPrefix(text, "~"):
			fold := strings.HasPrefix(text, "~*")
			p, bad := newPattern(strings.TrimPrefix(strings.TrimPrefix(text, "~"), "*"), fold)
			if bad != nil {
				a.problem(key.at, bad.problem, bad.hint)
				continue
			}
			if p.except != "" {
				a.problem(key.at, fmt.Sprintf("regular expression %q looks ahead, which RE2 cannot", text), "put a line with what is excepted before it")
				continue
			}
			expressions = append(expressions, line{"~" + p.expr, value})
			continue
		}
		text = strings.TrimPrefix(text, `\`)
		if hostnames && (strings.HasPrefix(text, ".") || strings.HasPrefix(text, "*.") || strings.HasSuffix(text, ".*")) {
			expressions = append(expressions, line{"~" + hostMask(text), value})
			continue
		}
		folded := strings.ToLower(text)
		if seen[folded] {
			a.problem(key.at, fmt.Sprintf("conflicting parameter %q", text), "leave one of them out")
			continue
		}
		seen[folded] = true
		t.values = append(t.values, line{folded, value})
	}
	t.values = append(t.values, expressions...)
}

// hostMask is a mask of hosts as an expression.
func hostMask(mask string) string {
	switch {
	case strings.HasPrefix(mask, "*."):
		return `(?i)^.+` + regexp.QuoteMeta(mask[1:]) + "$"
	case strings.HasPrefix(mask, "."):
		return `(?i)^(?:.+\.)?` + regexp.QuoteMeta(mask[1:]) + "$"
	}
	return `(?i)^` + regexp.QuoteMeta(strings.TrimSuffix(mask, "*")) + ".+$"
}

func (a *adapter) readGeo(t *table) {
	for _, words := range t.of.lines {
		key := words[0]
		if len(words) != 2 {
			if key.text != "ranges" {
				a.problem(key.at, "invalid number of the geo parameters", "a line is a network and its value")
				continue
			}
			a.problem(key.at, "ranges of geo are not carried over", "write networks")
			continue
		}
		value, ok := a.tableValue(words[1])
		if !ok {
			continue
		}
		switch key.text {
		case "default":
			t.def = value
			continue
		case "proxy", "proxy_recursive", "delete":
			a.problem(key.at, fmt.Sprintf("%q of geo is not carried over", key.text), "set_real_ip_from makes the client's address what it is for all")
			continue
		}
		text := key.text
		if _, err := netip.ParseAddr(text); err == nil {
			t.values = append(t.values, line{text, value})
			continue
		}
		p, err := netip.ParsePrefix(text)
		if err != nil {
			a.problem(key.at, fmt.Sprintf("invalid network %q", text), `write one like "10.0.0.0/8"`)
			continue
		}
		if p.Bits() == 0 && p.Addr().Is4() {
			t.def = value
			continue
		}
		t.values = append(t.values, line{p.Masked().String(), value})
	}
}

func (a *adapter) readSplit(t *table) {
	total := 0
	for _, words := range t.of.lines {
		key := words[0]
		if len(words) != 2 {
			a.problem(key.at, "invalid number of the split_clients parameters", "a line is a share and its value")
			continue
		}
		value, ok := a.tableValue(words[1])
		if !ok {
			continue
		}
		if key.text == "*" {
			t.def = value
			continue
		}
		share, isShare := strings.CutSuffix(key.text, "%")
		n, err := strconv.ParseFloat(share, 64)
		hundredths := int(n*100 + 0.5)
		if !isShare || err != nil || n < 0 || n > 100 {
			a.problem(key.at, fmt.Sprintf("invalid percent value %q", key.text), `write a share like "25%" or "0.5%"`)
			continue
		}
		if total += hundredths; total > 10000 {
			a.problem(key.at, "percent total is greater than 100%", "")
			continue
		}
		t.values = append(t.values, line{key.text, value})
	}
}

// useMap is a placeholder of a table, which is written into the site the first
// time.
func (s *site) useMap(name string, w word) (string, bool) {
	text := "{map." + name + "}"
	if done, is := s.maps[name]; is {
		if !done {
			s.a.problem(w.at, fmt.Sprintf("variable %q is made of itself", "$"+name), "")
		}
		return text, done
	}
	s.maps[name] = false
	t := s.a.maps[name]
	own := scope{site: s, level: s.level, names: s.names}
	from, ok := own.expand(t.from, forResponse)
	defer func() { s.maps[name] = true }()
	if !ok {
		return text, false
	}
	s.ofResponse[name] = s.namesResponse(from)
	m := s.table.Table("map", t.of.at).Table(name, t.of.at)
	m.Set("from", from, t.from.at)
	if t.kind != "" {
		m.Set("kind", t.kind, t.of.at)
	}
	lines := document.Inline()
	folds := t.kind == "" && !lowerCase(from)
	for _, v := range t.values {
		if folds && !strings.HasPrefix(v.key, "~") && strings.ToUpper(v.key) != v.key {
			m.Set("ignore_case", true, t.of.at)
		}
		value, ok := own.expand(v.value, forResponse)
		if !ok {
			return text, false
		}
		s.ofResponse[name] = s.ofResponse[name] || s.namesResponse(value)
		lines.Set(mapKey(v.key), value, t.of.at)
	}
	if from == "{response.Content-Type}" && !s.a.whole {
		s.withCharset(lines, t)
	}
	m.Set("values", lines, t.of.at)
	if t.def.text != "" {
		def, ok := own.expand(t.def, forResponse)
		if !ok {
			return text, false
		}
		s.ofResponse[name] = s.ofResponse[name] || s.namesResponse(def)
		m.Set("default", def, t.of.at)
	}
	return text, true
}

// withCharset adds the types that files have here in place of nginx's, where the
// configuration has no table of them.
func (s *site) withCharset(lines *document.Table, t *table) {
	for _, v := range t.values {
		if !strings.Contains(v.key, "/") || strings.HasPrefix(v.key, "~") || strings.Contains(v.key, ";") {
			continue
		}
		of := v.key
		if of == "application/javascript" {
			of = "text/javascript"
		}
		s.a.note(t.of, "the types of files have a charset here")
		if of += "; charset=utf-8"; lines.Get(of) == nil {
			lines.Set(of, lines.Get(mapKey(v.key)), t.of.at)
		}
	}
}

// namesResponse reports whether a text names a header of the response, or a table of
// such.
func (s *site) namesResponse(text string) bool {
	if strings.Contains(text, "{response.") {
		return true
	}
	for name, is := range s.ofResponse {
		if is && strings.Contains(text, "{map."+name+"}") {
			return true
		}
	}
	return false
}

// mapKey is a key of a table: an empty one is an expression, as no key is empty.
func mapKey(key string) string {
	if key == "" {
		return "~^$"
	}
	return key
}

// lowerCase reports whether what a text stands for is in lower case by itself.
func lowerCase(text string) bool { return text == "{host}" || text == "{scheme}" || text == "{client}" }

// httpsMap is the variable $https.
func (s *site) httpsMap() string {
	if _, done := s.maps["https"]; !done {
		s.maps["https"] = true
		m := s.table.Table("map", s.level.at).Table("https", s.level.at)
		m.Set("from", "{scheme}", s.level.at)
		lines := document.Inline()
		lines.Set("https", "on", s.level.at)
		m.Set("values", lines, s.level.at)
	}
	return "{map.https}"
}
