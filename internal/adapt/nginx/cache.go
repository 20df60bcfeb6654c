package nginx

// Responses of back ends that are kept.

import (
	"fmt"
	"strconv"
	"strings"

	"millrace/internal/adapt/document"
)

// cache sets what of a back end's responses is kept. Address is the back end's, as
// nginx's own key has it.
func (s *site) cache(r *route, family, protocol, address string, st state) {
	l := st.scope.level
	d := l.last(family + "_cache")
	if d == nil || d.arg(0) == "off" {
		return
	}
	t := document.Inline()
	key := "{scheme}" + document.Literal(address) + "{request_uri}"
	if of := l.last(family + "_cache_key"); of != nil {
		word := of.args[0]
		word.text = strings.ReplaceAll(word.text, "$proxy_host", address)
		text, ok := st.scope.expand(word, forText)
		if !ok {
			return
		}
		key = text
	} else if family != "proxy" {
		s.a.problem(d.at, fmt.Sprintf("no %q for %q", family+"_cache_key", family+"_cache"), "write what tells requests from each other, like $scheme$host$request_uri")
		return
	}
	t.Set("key", key, d.at)
	s.validity(t, family, l)
	var bypass []string
	at := d.at
	for _, of := range l.find(family+"_cache_bypass", family+"_no_cache") {
		at = of.at
		for _, w := range of.args {
			if text, ok := st.scope.expand(w, forText); ok && !contains(bypass, text) {
				bypass = append(bypass, text)
			}
		}
	}
	if len(bypass) > 0 {
		t.Set("bypass", bypass, at)
	}
	s.stale(t, family, l)
	var ignore []string
	for _, of := range l.find(family + "_ignore_headers") {
		for _, w := range of.args {
			switch w.text {
			case "Cache-Control", "Expires", "X-Accel-Expires", "Set-Cookie", "Vary":
				ignore = append(ignore, strings.ToLower(w.text))
			}
		}
	}
	if len(ignore) > 0 {
		t.Set("ignore", ignore, d.at)
	}
	t.Set("private_cookies", []string{}, d.at)
	t.Set("ignore_client", true, d.at)
	if !l.on(family+"_cache_lock", false) {
		t.Set("separate", true, d.at)
	}
	r.comment("Responses are kept in memory; [server.cache] with a folder keeps them on disk.")
	r.set("cache", t, d.at)
}

// validity is how long responses are good that do not say it.
func (s *site) validity(t *document.Table, family string, l *level) {
	ttl := document.Inline()
	at := l.at
	for _, d := range l.find(family + "_cache_valid") {
		at = d.at
		last := len(d.args) - 1
		text, ok := nginxTime(d.arg(last))
		if !ok {
			s.a.problem(d.argAt(last), fmt.Sprintf("invalid time value %q", d.arg(last)), `write a time like "10m"`)
			continue
		}
		codes := d.words()[:last]
		if len(codes) == 0 {
			codes = []string{"200", "301", "302"}
		}
		for i, code := range codes {
			if n, err := strconv.Atoi(code); code != "any" && (err != nil || n < 100 || n > 599) {
				s.a.problem(d.argAt(i), fmt.Sprintf("invalid status %q", code), "")
				continue
			}
			if text > 0 && ttl.Get(code) == nil {
				ttl.Set(code, duration(text), d.at)
			}
		}
	}
	if !ttl.Empty() {
		t.Set("ttl", ttl, at)
	}
}

// stale is when a response goes out that is no longer good.
func (s *site) stale(t *document.Table, family string, l *level) {
	d := l.last(family + "_cache_use_stale")
	if d == nil {
		return
	}
	for _, w := range d.args {
		switch w.text {
		case "off":
		case "updating":
			t.Set("stale_while_revalidate", "1d", w.at)
		case "error", "timeout", "invalid_header", "http_500", "http_502", "http_503", "http_504":
			t.Set("stale_if_error", "1d", w.at)
		default:
			s.a.problem(w.at, fmt.Sprintf("%s %s is not carried over: a status of that kind is an answer", d.name, w.text), "leave it out")
		}
	}
}
