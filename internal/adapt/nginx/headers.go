package nginx

// Headers of responses, compression, errors.

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"millrace/internal/adapt/document"
)

// response is what changes the headers of a level's responses.
type response struct {
	always, unlessError, set *document.Table
	remove                   []string
}

func (c *response) empty() bool {
	return c.always.Empty() && c.unlessError.Empty() && c.set.Empty() && len(c.remove) == 0
}

func (c *response) table(at document.Place) *document.Table {
	t := document.Inline()
	if len(c.remove) > 0 {
		t.Set("remove", c.remove, at)
	}
	if !c.always.Empty() {
		t.Set("add", c.always, at)
	}
	if !c.set.Empty() {
		t.Set("set_unless_error", c.set, at)
	}
	if !c.unlessError.Empty() {
		t.Set("add_unless_error", c.unlessError, at)
	}
	return t
}

// headers sets what a route changes.
func (s *site) headers(r *route, st state) {
	if !r.answers() || r.get("headers") != nil {
		return
	}
	c := s.response(st.scope.level, &st.scope, r)
	if !c.empty() {
		r.set("headers", c.table(st.scope.level.at), st.scope.level.at)
	}
}

func (s *site) response(l *level, sc *scope, r *route) *response {
	c := &response{always: document.Inline(), unlessError: document.Inline(), set: document.Inline()}
	for name, text := range s.authVariables(l) {
		if sc.vars[name] == "" {
			with := sc.clone()
			with.vars[name] = text
			sc = &with
		}
	}
	if d := l.handler(); d != nil {
		family, _, _ := strings.Cut(d.name, "_")
		for _, hide := range l.find(family + "_hide_header") {
			c.remove = append(c.remove, hide.arg(0))
		}
	}
	for _, d := range l.find("add_header") {
		if d.arg(1) == "$upstream_cache_status" {
			s.a.note(d, "Cache-Status says what became of a request")
			continue
		}
		text, ok := sc.expand(d.args[1], forResponse)
		if !ok || text == "" {
			continue
		}
		into := c.unlessError
		switch d.arg(2) {
		case "always":
			into = c.always
		case "":
		default:
			s.a.problem(d.argAt(2), fmt.Sprintf("invalid parameter %q", d.arg(2)), `it is "always"`)
		}
		name := d.arg(0)
		if _, own := ownType(l); own && r.get("respond") != nil && strings.EqualFold(name, "Content-Type") {
			continue // it is the type of what is said
		}
		if strings.EqualFold(name, "Content-Length") || strings.EqualFold(name, "Transfer-Encoding") {
			s.a.problem(d.argAt(0), fmt.Sprintf("add_header %s is not carried over: it says where the response ends", name), "leave it out")
			continue
		}
		if before, is := into.Get(name).(string); is {
			if strings.EqualFold(name, "Set-Cookie") {
				s.a.problem(d.at, "a second add_header Set-Cookie in one place is not carried over", "have the app set it")
				continue
			}
			text = before + ", " + text
		}
		into.Set(name, text, d.at)
	}
	s.expires(c, l, r)
	return c
}

// ownType is the media type that an add_header of a level says.
func ownType(l *level) (string, bool) {
	for _, d := range l.find("add_header") {
		if strings.EqualFold(d.arg(0), "Content-Type") && !strings.Contains(d.arg(1), "$") {
			return d.arg(1), true
		}
	}
	return "", false
}

func (sc *scope) clone() scope {
	with := *sc
	with.vars = map[string]string{}
	for k, v := range sc.vars {
		with.vars[k] = v
	}
	return with
}

// expires is how long clients keep responses. Of files it is a key of theirs.
func (s *site) expires(c *response, l *level, r *route) {
	d := l.last("expires")
	if d == nil || d.arg(0) == "off" {
		return
	}
	if len(d.args) == 1 && strings.HasPrefix(d.arg(0), "$") {
		s.expiresOf(c, d)
		return
	}
	value, ok := expiresValue(d.arg(0))
	if !ok || len(d.args) != 1 {
		s.a.problem(d.argAt(0), fmt.Sprintf("expires %s is not carried over", strings.Join(d.words(), " ")), `write a time like "30d", "max", "epoch" or "off"`)
		return
	}
	if files, is := r.get("files").(*document.Table); is && len(l.find("add_header")) == 0 {
		files.Set("cache_control", value, d.at)
		return
	}
	for _, h := range l.find("add_header") {
		if strings.EqualFold(h.arg(0), "Cache-Control") { // two lines are one value
			if before, is := c.unlessError.Get(h.arg(0)).(string); is {
				c.unlessError.Set(h.arg(0), value+", "+before, h.at)
				return
			}
		}
	}
	c.set.Set("Cache-Control", value, d.at)
}

// expiresOf is expires of a variable, which has to be a map's: of its values is made
// another map.
func (s *site) expiresOf(c *response, d *directive) {
	name := strings.TrimPrefix(d.arg(0), "$")
	t := s.a.maps[name]
	if t == nil {
		s.a.problem(d.argAt(0), fmt.Sprintf("expires %s is not carried over", d.arg(0)), `write a time like "30d", or a variable of map`)
		return
	}
	control := *t
	control.name = name + "_cache_control"
	for other := s.a.maps[control.name]; other != nil && other.of != t.of; other = s.a.maps[control.name] {
		control.name += "_"
	}
	control.values = slices.Clone(t.values)
	values := []*word{&control.def}
	for i := range control.values {
		values = append(values, &control.values[i].value)
	}
	for _, w := range values {
		if w.text == "off" || w.text == "" {
			w.text = ""
			continue
		}
		value, ok := expiresValue(w.text)
		if !ok {
			s.a.problem(w.at, fmt.Sprintf("expires %s is not carried over: %q is one of its values", d.arg(0), w.text), `a value is a time like "30d", "max", "epoch" or "off"`)
			return
		}
		w.text = value
	}
	s.a.maps[control.name] = &control
	if text, ok := s.useMap(control.name, word{text: d.arg(0), at: d.argAt(0)}); ok {
		c.set.Set("Cache-Control", text, d.at)
	}
}

func expiresValue(text string) (string, bool) {
	switch {
	case text == "max":
		return "max-age=315360000", true
	case text == "epoch" || strings.HasPrefix(text, "-"):
		return "no-cache", true
	default:
		t, ok := nginxTime(text)
		return "max-age=" + strconv.FormatInt(int64(t/time.Second), 10), ok
	}
}

// compress is gzip of a server. It is off in nginx, and on here, without a word.
func (s *site) compress() {
	value, at := s.compression(s.level)
	s.table.Set("compress", value, at)
}

// ofRoute sets what a location says otherwise than its server: compression, pages
// of errors, whether there is a log.
func (s *site) ofRoute(r *route, st state) {
	l := st.scope.level
	loc := l.location()
	if loc.context != 'L' {
		return
	}
	ours, at := s.compression(l)
	whole, _ := s.compression(s.level)
	if shown(ours) != shown(whole) && r.get("redirect") == nil {
		r.set("compress", ours, at)
	}
	if d := l.last("access_log"); d != nil && s.table.Get("access_log") != nil {
		of := s.level.last("access_log")
		switch {
		case d.arg(0) == "off" || d.arg(0) == "/dev/null":
			r.set("unlogged", true, d.at)
		case of == nil || !slices.Equal(of.words(), d.words()):
			s.a.problem(d.at, "access_log of a location is not carried over: a site has one", `write it at the server; "off" is known here`)
		}
	} else if d != nil && d.arg(0) != "off" {
		s.a.problem(d.at, "access_log of a location is not carried over: a site has one", `write it at the server; "off" is known here`)
	}
	s.pages(r, st)
}

// shown is a value as text, to compare it with another.
func shown(v any) string {
	t, is := v.(*document.Table)
	if !is {
		return fmt.Sprint(v)
	}
	return fmt.Sprint(t.Get("types"), t.Get("min_size"), t.Get("encodings"), t.Get("gzip_level"))
}

// compression is gzip at a level.
func (s *site) compression(l *level) (any, document.Place) {
	d := l.last("gzip")
	if !l.on("gzip", false) {
		if d != nil {
			return false, d.at
		}
		return false, s.level.at
	}
	t := document.Inline()
	types := []string{"text/html"}
	if of := l.last("gzip_types"); of != nil {
		for _, w := range of.words() {
			if w == "*" {
				w = "*/*"
			}
			if !slices.Contains(types, w) {
				types = append(types, w)
			}
		}
	}
	t.Set("types", types, d.at)
	least := "20B"
	if of := l.last("gzip_min_length"); of != nil {
		least = s.a.size(of)
	}
	if least == "0B" {
		least = "1B"
	}
	t.Set("min_size", least, d.at)
	t.Set("encodings", []string{"gzip"}, d.at)
	level := 1
	if of := l.last("gzip_comp_level"); of != nil {
		n, err := strconv.Atoi(of.arg(0))
		if err != nil || n < 1 || n > 9 {
			s.a.problem(of.argAt(0), `"gzip_comp_level" value must be between 1 and 9`, "")
		}
		level = n
	}
	t.Set("gzip_level", level, d.at)
	return t, d.at
}

// errorPages are the pages of errors of a server.
func (s *site) errorPages() {
	pages, at := s.pagesAt(s.level)
	if pages.Empty() {
		return
	}
	s.table.Set("error_pages", pages, at)
	if d := s.intercepts(s.level); d != nil {
		s.table.Set("error_pages_of_apps", true, d.at)
	}
}

// pagesAt are the pages of errors that hold at a level.
func (s *site) pagesAt(l *level) (*document.Table, document.Place) {
	pages := document.Inline()
	at := l.at
	for i, d := range l.find("error_page") {
		if i == 0 {
			at = d.at
		}
		s.errorPage(d, pages, l)
	}
	return pages, at
}

// intercepts is what says that errors of back ends have pages; nil: nothing does.
func (s *site) intercepts(l *level) *directive {
	for _, name := range []string{"proxy", "fastcgi", "uwsgi", "scgi", "grpc"} {
		if l.on(name+"_intercept_errors", false) {
			return l.last(name + "_intercept_errors")
		}
	}
	return nil
}

// pages are the pages of a location that has others than its server.
func (s *site) pages(r *route, st state) {
	l := st.scope.level
	own := l.find("error_page")
	of := s.level.find("error_page")
	same := len(own) == len(of)
	for i := range own {
		same = same && own[i] == of[i]
	}
	passes := r.get("upstream") != nil
	ours, whole := s.intercepts(l), s.intercepts(s.level)
	if len(own) == 0 || same && (!passes || (ours == nil) == (whole == nil)) || r.get("redirect") != nil || r.get("try_files") != nil && isNamed(own) {
		return
	}
	pages, at := s.pagesAt(l)
	if pages.Empty() {
		return
	}
	r.set("error_pages", pages, at)
	if ours != nil && passes {
		r.set("error_pages_of_apps", true, ours.at)
	}
}

// isNamed reports whether pages of errors are a named location for what is missing,
// which try_files says.
func isNamed(list []*directive) bool {
	return len(list) == 1 && list[0].arg(0) == "404" && strings.HasPrefix(list[0].arg(len(list[0].args)-1), "@")
}

// errorPage is one error_page, put into a table of pages.
func (s *site) errorPage(d *directive, pages *document.Table, l *level) bool {
	words := d.args
	target := words[len(words)-1]
	codes := words[:len(words)-1]
	status := ""
	if n := len(codes); n > 0 && strings.HasPrefix(codes[n-1].text, "=") {
		status = codes[n-1].text + " "
		if code, err := strconv.Atoi(codes[n-1].text[1:]); codes[n-1].text != "=" && (err != nil || code < 200 || code > 599) {
			s.a.problem(codes[n-1].at, fmt.Sprintf("invalid value %q", codes[n-1].text), `write "=200", or "=" for the status of the page`)
			return false
		}
		codes = codes[:n-1]
	}
	if len(codes) == 0 {
		s.a.problem(d.at, "error_page without a status", "write the status of the error before the page")
		return false
	}
	sc := scope{site: s, level: l, names: s.names}
	to := ""
	if strings.HasPrefix(target.text, "@") {
		group, ok := s.namedGroup(target)
		if !ok {
			return false
		}
		to = "@" + group
	} else {
		text, ok := sc.expand(target, forURL)
		if !ok {
			return false
		}
		to = text
		if !strings.HasPrefix(to, "/") && !strings.HasPrefix(to, "{") && !strings.HasPrefix(to, "http://") && !strings.HasPrefix(to, "https://") {
			to = "/" + to
		}
	}
	to = status + to
	for _, c := range codes {
		n, err := strconv.Atoi(c.text)
		switch {
		case err != nil:
			s.a.problem(c.at, fmt.Sprintf("invalid value %q", c.text), "")
		case n < 300 || n > 599:
			s.a.problem(c.at, fmt.Sprintf("value %q must be between 300 and 599", c.text), "")
		case n == 497 || n == 494 || n == 495 || n == 496 || n == 499 || n < 400:
			s.a.problem(c.at, fmt.Sprintf("error_page %d is not carried over: it is no error that has a page here", n), "leave it out")
		default:
			pages.Set(c.text, to, d.at)
		}
	}
	return true
}
