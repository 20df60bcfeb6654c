package apache

// The texts of RewriteRule and RewriteCond: $1, %1, %{NAME}, ${map:key}.

import (
	"fmt"
	"strconv"
	"strings"

	"millrace/internal/adapt/document"
)

// texts is what a text may name.
type texts struct {
	groups int            // of the rule's expression
	shift  int            // what is added to their numbers
	whole  string         // what $0 is
	conds  map[int]string // what %1 is
	used   bool           // a %1 was there
	path   bool           // and is of a path, from its slash on
	url    bool           // it becomes a URL: what stands there itself is encoded as far as it must be
	server bool
}

// expand is a text as one with placeholders.
func (l *lowering) expand(at *directive, text string, t *texts) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		c := text[i]
		next := byte(0)
		if i+1 < len(text) {
			next = text[i+1]
		}
		switch {
		case c == '\\' && next != 0:
			i++
			b.WriteString(fixed(next, t.url))
		case c == '$' && next >= '0' && next <= '9':
			i++
			n := int(next - '0')
			if n > t.groups { // empty, as in Apache
				continue
			}
			if n == 0 {
				if t.whole == "" {
					l.refuse(at, at.known.name+": $0 is not known here", "put a group around all of the expression, and write $1")
					return "", false
				}
				b.WriteString(t.whole)
				continue
			}
			b.WriteString("{" + strconv.Itoa(n+t.shift) + "}")
		case c == '%' && next >= '0' && next <= '9':
			i++
			t.used = true
			name, ok := t.conds[int(next-'0')]
			if !ok {
				l.refuse(at, fmt.Sprintf("%s: %%%c is a group of the last RewriteCond that matched, which has none of this number, or is one of several with [OR]", at.known.name, next), "put the group into that RewriteCond, and that last")
				return "", false
			}
			b.WriteString(name)
		case c == '%' && next == '{':
			end := strings.IndexByte(text[i:], '}')
			if end < 0 {
				b.WriteString(fixed(c, t.url))
				continue
			}
			value, ok := l.variable(at, text[i+2:i+end], t)
			if !ok {
				return "", false
			}
			b.WriteString(value)
			i += end
		case c == '$' && next == '{':
			end := matching(text[i+1:])
			if end < 0 {
				b.WriteString(fixed(c, t.url))
				continue
			}
			value, ok := l.lookup(at, text[i+2:i+1+end], t)
			if !ok {
				return "", false
			}
			b.WriteString(value)
			i += 1 + end
		default:
			b.WriteString(fixed(c, t.url))
		}
	}
	return b.String(), true
}

// matching is where a brace ends that opens a text.
func matching(text string) int {
	depth := 0
	for i := range len(text) {
		switch text[i] {
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

// fixed is a byte that stands for itself.
func fixed(c byte, url bool) string {
	switch {
	case c == '{':
		return "{{"
	case url && c == '%':
		return "%25"
	case url && c == '\\':
		return "%5C"
	}
	return string([]byte{c})
}

// variables are those of mod_rewrite that are placeholders.
var variables = map[string]string{
	"HTTP_USER_AGENT": "{header.User-Agent}", "HTTP_REFERER": "{header.Referer}", "HTTP_COOKIE": "{header.Cookie}",
	"HTTP_FORWARDED": "{header.Forwarded}", "HTTP_ACCEPT": "{header.Accept}", "HTTP_PROXY_CONNECTION": "{header.Proxy-Connection}",
	"REMOTE_ADDR": "{client}", "CONN_REMOTE_ADDR": "{client}", "REQUEST_METHOD": "{method}", "QUERY_STRING": "{query}", "SERVER_NAME": "{host}", "SERVER_PORT": "{port}",
	"REQUEST_URI": "{path}", "DOCUMENT_URI": "{path}", "REQUEST_SCHEME": "{scheme}", "THE_REQUEST": "{method} {request_uri} HTTP/1.1", "PATH_INFO": "", "HTTP_HOST": "{header.Host}",
	"SSL:SSL_CLIENT_S_DN": "{tls.client.subject}", "SSL:SSL_CLIENT_S_DN_CN": "{tls.client.cn}", "SSL:SSL_CLIENT_VERIFY": "{tls.client.verify}",
	"SSL:SSL_CLIENT_M_SERIAL": "{tls.client.serial}", "SSL:SSL_PROTOCOL": "{tls.version}", "SSL:SSL_CIPHER": "{tls.cipher}",
}

// variable is what %{NAME} stands for.
func (l *lowering) variable(at *directive, name string, t *texts) (string, bool) {
	upper := strings.ToUpper(name)
	if text, ok := variables[upper]; ok && text != "" {
		if upper == "HTTP_HOST" && t.url {
			text = "{header.Host}"
		}
		return text, true
	}
	switch {
	case upper == "DOCUMENT_ROOT" || upper == "CONTEXT_DOCUMENT_ROOT":
		return document.Literal(l.site.root), true
	case upper == "HTTPS":
		return l.needMap(at, "https", "{scheme}", []pair{{name: "https", value: "on"}}, "off"), true
	case upper == "REQUEST_FILENAME" || upper == "SCRIPT_FILENAME":
		return l.filename(at, t)
	case strings.HasPrefix(upper, "HTTP:"):
		if header := name[5:]; isToken(header) {
			return "{header." + header + "}", true
		}
	case strings.HasPrefix(upper, "ENV:"):
		if value, ok := l.site.constants[name[4:]]; ok {
			return value, true
		}
		l.refuse(at, fmt.Sprintf("%s: %%{%s}: a variable that no rule above sets for every request", at.known.name, name), "test what the variable is made of")
		return "", false
	}
	l.refuse(at, fmt.Sprintf("%s: %%{%s} is not carried over", at.known.name, name), "what there is of a request is in docs/routes.md, under placeholders")
	return "", false
}

func isToken(s string) bool {
	return s != "" && strings.Trim(strings.ToLower(s), "abcdefghijklmnopqrstuvwxyz0123456789-_") == ""
}

// filename is the file that the path stands for.
func (l *lowering) filename(at *directive, t *texts) (string, bool) {
	if t.server {
		return "{path}", true
	}
	if l.under == nil {
		return "", false
	}
	if text, ok := l.under.fileText(); ok {
		return text, true
	}
	l.refuse(at, at.known.name+": %{REQUEST_FILENAME} below an Alias whose folder has another name than its path", "name the folder: /FOLDER/$1")
	return "", false
}

// lookup is what ${map:key|default} stands for: a map of the site whose key is
// that text.
func (l *lowering) lookup(at *directive, text string, t *texts) (string, bool) {
	name, key, ok := strings.Cut(text, ":")
	def := ""
	if i := strings.LastIndexByte(key, '|'); i >= 0 {
		key, def = key[:i], key[i+1:]
	}
	m := l.site.rewriteMaps[name]
	if !ok || m == nil {
		l.refuse(at, fmt.Sprintf("%s: there is no RewriteMap %s", at.known.name, name), "define it above, outside of <Directory>")
		return "", false
	}
	of := *t
	of.url = false
	from, ok := l.expand(at, key, &of)
	t.used = t.used || of.used
	if !ok {
		return "", false
	}
	kind, source, ok := strings.Cut(m.arg(1), ":")
	if !ok || kind != "txt" {
		l.refuse(m, fmt.Sprintf("RewriteMap %s: a map of the kind %s is not carried over", name, kind), "a text file is: txt:FILE; tolower is what hosts are in by themselves")
		return "", false
	}
	file, err := document.Read(l.path(source))
	if err != nil {
		l.refuse(m, fmt.Sprintf("RewriteMap: file for map %s not found: %s: %v", name, source, err), "check the path and its rights")
		return "", false
	}
	var values []pair
	for line := range strings.Lines(string(file)) {
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0][0] == '#' {
			continue
		}
		values = append(values, pair{name: fields[0], value: fields[1]})
		if len(values) > 100000 {
			l.refuse(m, fmt.Sprintf("RewriteMap %s has more than 100000 lines", name), "ask a database in the app")
			return "", false
		}
	}
	return l.needMap(m, name, from, values, def), true
}

// needMap is the placeholder of a map of the site, made at its first use.
func (l *lowering) needMap(at *directive, name, from string, values []pair, def string) string {
	key := name + "\x00" + from + "\x00" + def
	if known, ok := l.site.maps[key]; ok {
		return "{map." + known + "}"
	}
	clean := strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '_' || r == '-' {
			return r
		}
		return '_'
	}, name)
	clean = l.site.unique(clean)
	l.site.maps[key] = clean
	t := l.site.table.Table("map", at.place).Table(clean, at.place)
	t.Set("from", from, at.place)
	v := document.Inline()
	for _, p := range values {
		if text, ok := p.value.(string); ok && v.Get(p.name) == nil {
			v.Set(p.name, document.Literal(text), at.place)
		}
	}
	t.Set("values", v, at.place)
	if def != "" {
		t.Set("default", document.Literal(def), at.place)
	}
	return "{map." + clean + "}"
}
