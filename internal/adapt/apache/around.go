package apache

// What is around whatever answers: headers, variables, compression, bounds.

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"millrace/internal/adapt/document"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// around is the keys of a route that answers. Kind is files, app, upstream or
// cgi, and protocol what the app or the back end speaks.
func (l *lowering) around(c *conf, kind, protocol string) pairs {
	var p pairs
	s := l.site
	list := c.headers
	if !s.headersHere {
		list = nil
	}
	if h := l.headers(list); !h.Empty() {
		p.set("headers", h, list[0].place)
	}
	http := slices.Contains([]string{"http", "https", "h2", "h2c"}, protocol)
	if kind == "app" || kind == "upstream" {
		requests := l.requestHeaders(c, protocol)
		if !requests.Empty() {
			p.set("request_headers", requests, placeOf(firstOf(c.requests)))
		}
		if params := l.params(c, protocol); !params.Empty() && !http {
			p.set("params", params, placeOf(firstOf(c.env)))
		}
	}
	if c.maxBody != nil && kind != "files" {
		if n, err := strconv.ParseInt(c.maxBody.arg(0), 10, 64); err != nil || n < 0 {
			l.refuse(c.maxBody, fmt.Sprintf("LimitRequestBody: %s is no number of bytes", short(c.maxBody.arg(0))), "write LimitRequestBody 10485760")
		} else if n > 0 {
			p.set("max_body", strconv.FormatInt(n, 10)+"B", c.maxBody.place)
		}
	}
	p = append(p, l.ownPages(c)...)
	own, base := l.compression(c), l.compression(s.base)
	switch {
	case own == nil && base != nil:
		p.set("compress", false, placeOf(firstOf(c.filters)))
	case own != nil && (base == nil || fmt.Sprint(base) != fmt.Sprint(own)):
		p.set("compress", own, placeOf(firstOf(c.filters)))
	}
	return p
}

func firstOf(list []*directive) *directive {
	if len(list) == 0 {
		return nil
	}
	return list[0]
}

// headers is Header, in the order in which they are said.
func (l *lowering) headers(list []*directive) *document.Table {
	var set, setOK, add, addOK pairs
	var remove []string
	for _, d := range list {
		words := d.texts()
		always := false
		if len(words) > 0 && (strings.EqualFold(words[0], "always") || strings.EqualFold(words[0], "onsuccess")) {
			always = strings.EqualFold(words[0], "always")
			words = words[1:]
		}
		if len(words) < 2 {
			l.refuse(d, "Header requires two to four arguments", "write Header set NAME VALUE")
			continue
		}
		action, name := strings.ToLower(words[0]), strings.TrimSuffix(words[1], ":")
		if !isToken(name) {
			l.refuse(d, fmt.Sprintf("Header: %s is no name of a header", short(name)), "write Header set NAME VALUE")
			continue
		}
		rest, secure := words[2:], false
		if n := len(rest); n > 0 && (strings.HasPrefix(rest[n-1], "env=") || strings.HasPrefix(rest[n-1], "expr=")) && (n > 1 || action == "unset") {
			if strings.Contains(strings.ToUpper(d.raw), "BALANCER_ROUTE_CHANGED") {
				l.site.note(d, "the cookie that brings clients back is the sticky of the upstream")
				continue
			}
			if secure = overTLS(rest[n-1]) && (action == "set" || action == "add"); !secure {
				l.refuse(d, fmt.Sprintf("Header … %s: for some requests only", rest[n-1]), "write it into a <Location> or <Files> section")
				continue
			}
			rest = rest[:n-1]
		}
		text := ""
		if action != "unset" && action != "echo" {
			if len(rest) == 0 {
				l.refuse(d, "Header: action requires a value", "write Header set NAME VALUE")
				continue
			}
			var ok bool
			if text, ok = l.headerText(d, rest[0]); !ok {
				continue
			}
			if secure {
				if strings.Contains(text, "{") || set.get(name) != nil || setOK.get(name) != nil {
					l.refuse(d, "Header of requests over TLS alone, beside another value or with one of the request", "write it into the <VirtualHost> of TLS")
					continue
				}
				text = l.needMap(d, "tls_"+strings.ToLower(name), "{scheme}", []pair{{name: "https", value: text}}, "")
			}
		}
		drop := func(lists ...*pairs) {
			for _, p := range lists {
				*p = slices.DeleteFunc(*p, func(one pair) bool { return strings.EqualFold(one.name, name) })
			}
		}
		switch action {
		case "unset":
			drop(&set, &setOK, &add, &addOK)
			remove = append(remove, name)
		case "set":
			if always {
				drop(&set, &add)
				set.set(name, text, d.place)
			} else {
				drop(&setOK, &addOK)
				setOK.set(name, text, d.place)
			}
		case "add", "append", "merge":
			to := &addOK
			if always {
				to = &add
			}
			if to.get(name) != nil {
				l.refuse(d, fmt.Sprintf("Header %s: a second %s", action, name), "write both values into one")
				continue
			}
			to.set(name, text, d.place)
		case "setifempty", "edit", "edit*", "echo", "note":
			l.refuse(d, "Header "+action+": headers are set, added and left out", "write Header set")
		default:
			l.refuse(d, "first argument must be 'add', 'set', 'setifempty', 'append', 'merge', 'unset', 'echo', 'note', 'edit', or 'edit*'.", "write Header set NAME VALUE")
		}
	}
	t := document.Inline()
	for _, of := range []struct {
		key string
		p   pairs
	}{{"set", set}, {"add", add}, {"set_unless_error", setOK}, {"add_unless_error", addOK}} {
		if len(of.p) > 0 {
			t.Set(of.key, of.p.inline(), of.p[0].at)
		}
	}
	if len(remove) > 0 {
		t.Set("remove", unique(remove), list[0].place)
	}
	return t
}

// overTLS reports whether a condition is that a request came over TLS.
func overTLS(text string) bool {
	text = strings.NewReplacer(" ", "", `"`, "", "'", "", "-eq", "==").Replace(strings.ToLower(text))
	return slices.Contains([]string{"env=https", "expr=%{https}==on", "expr=%{request_scheme}==https"}, text)
}

// headerText is a value, with %{NAME}s and its kin, or an expression that is a text.
func (l *lowering) headerText(d *directive, text string) (string, bool) {
	if of, is := strings.CutPrefix(text, "expr="); is {
		if strings.ContainsAny(of, `\$()'"`) {
			l.refuse(d, fmt.Sprintf("%s %s: of expressions, a text with %%{NAME}s is known here", d.known.name, short(text)), "write the value with %{NAME}s")
			return "", false
		}
		return l.expand(d, of, &texts{})
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '%' || i+1 == len(text) {
			b.WriteString(fixed(text[i], false))
			continue
		}
		i++
		switch {
		case text[i] == '%':
			b.WriteByte('%')
		case text[i] == '{' && strings.IndexByte(text[i:], '}') > 0:
			end := i + strings.IndexByte(text[i:], '}')
			name := text[i+1 : end]
			i = end
			kind := byte(0)
			if end+1 < len(text) {
				kind = text[end+1]
				i++
			}
			value := ""
			switch {
			case kind == 's':
				value = variables["SSL:"+name]
				if name == "HTTPS" {
					value = l.needMap(d, "https", "{scheme}", []pair{{name: "https", value: "on"}}, "off")
				}
			case kind == 'e' && name == "REMOTE_USER":
				value = "{user}"
			case kind == 'e' && l.site.constants[name] != "":
				value = l.site.constants[name]
			case kind == 'e':
				value = l.envText(name)
			}
			if value == "" {
				l.refuse(d, fmt.Sprintf("%s: %%{%s}%c is not known here", d.known.name, name, kind), "what there is of a request is in docs/routes.md, under placeholders")
				return "", false
			}
			b.WriteString(value)
		default:
			l.refuse(d, fmt.Sprintf("%s: %%%c: times and loads are in the access log", d.known.name, text[i]), "write %% for the character itself")
			return "", false
		}
	}
	return b.String(), true
}

// requestHeaders is RequestHeader.
func (l *lowering) requestHeaders(c *conf, protocol string) *document.Table {
	set, add := document.Inline(), document.Inline()
	var remove []string
	for _, d := range c.requests {
		words := d.texts()
		if n := len(words); n > 2 && strings.EqualFold(words[n-1], "early") {
			words = words[:n-1]
		}
		action, name := strings.ToLower(words[0]), strings.TrimSuffix(words[1], ":")
		if n := len(words); n > 3 && (strings.HasPrefix(words[n-1], "env=") || strings.HasPrefix(words[n-1], "expr=")) || n == 3 && action == "unset" {
			l.refuse(d, fmt.Sprintf("RequestHeader … %s: for some requests only", words[n-1]), "write it into a <Location> or <Files> section")
			continue
		}
		if !isToken(name) {
			l.refuse(d, fmt.Sprintf("RequestHeader: %s is no name of a header", short(name)), "write RequestHeader set NAME VALUE")
			continue
		}
		if action == "unset" {
			if strings.EqualFold(name, "proxy") {
				l.site.note(d, "a header Proxy reaches no program in any case")
				continue
			}
			remove = append(remove, name)
			continue
		}
		if len(words) < 3 {
			l.refuse(d, "RequestHeader: action requires a value", "write RequestHeader set NAME VALUE")
			continue
		}
		text, ok := l.headerText(d, words[2])
		switch {
		case !ok:
		case action == "set":
			set.Set(name, text, d.place)
		case action == "add", action == "append", action == "merge":
			add.Set(name, text, d.place)
		default:
			l.refuse(d, "RequestHeader "+action+": headers are set, added and left out", "write RequestHeader set")
		}
	}
	if pass := c.get("wsgipassauthorization"); protocol == "wsgi" && (pass == nil || !pass.on()) && !l.site.passAuth {
		remove = append(remove, "Authorization") // which mod_wsgi keeps to itself
	}
	t := document.Inline()
	for key, of := range map[string]*document.Table{"set": set} {
		if !of.Empty() {
			t.Set(key, of, placeOf(firstOf(c.requests)))
		}
	}
	if !add.Empty() {
		t.Set("add", add, placeOf(firstOf(c.requests)))
	}
	if len(remove) > 0 {
		t.Set("remove", unique(remove), placeOf(firstOf(c.requests)))
	}
	return t
}

// compression is the value of compress; nil: nothing is compressed.
func (l *lowering) compression(c *conf) any {
	var types, encodings []string
	for _, d := range c.filters {
		words := d.texts()
		filter := strings.ToUpper(words[0])
		names := map[string]string{"DEFLATE": "gzip", "BROTLI_COMPRESS": "br", "BROTLI": "br"}
		if filter == "INCLUDES" || strings.Contains(filter, ";") || names[filter] == "" {
			if filter == "NONE" && d.name == "setoutputfilter" {
				types, encodings = nil, nil
				continue
			}
			list := strings.Split(filter, ";")
			if names[list[0]] == "" || names[list[len(list)-1]] == "" {
				l.refuse(d, fmt.Sprintf("%s %s: the filter is not carried over", d.known.name, words[0]), "DEFLATE and BROTLI_COMPRESS are")
				continue
			}
			for _, f := range list {
				encodings = append(encodings, names[f])
			}
		} else {
			encodings = append(encodings, names[filter])
		}
		switch d.name {
		case "addoutputfilterbytype":
			types = append(types, words[1:]...)
		case "setoutputfilter":
			types = append(types, "text/*", "application/*", "image/*", "font/*", "audio/*", "video/*")
		default:
			l.refuse(d, "AddOutputFilter: compression goes by types", "write AddOutputFilterByType DEFLATE text/html …")
		}
	}
	for _, d := range c.env {
		if d.name == "setenv" && strings.EqualFold(d.arg(0), "no-gzip") {
			return nil
		}
	}
	if len(types) == 0 {
		return nil
	}
	var p pairs
	at := c.filters[0].place
	p.set("types", unique(types), at)
	p.set("encodings", unique(encodings), at)
	return p.inline()
}
