package nginx

// Texts with nginx's variables, as texts with placeholders.

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"millrace/internal/suggest"
)

// use is what a text is for: some names stand for something there alone.
type use uint8

const (
	forText use = iota
	forURL
	forLog
	forResponse // a header of it
	forParam
)

// scope is what a text may name at its place.
type scope struct {
	site   *site
	level  *level
	vars   map[string]string // variables that were set, as texts with placeholders
	vague  map[string]string // variables that were set under a condition, and where
	groups []string          // what $1 and so on stand for
	names  []string          // named groups
	script *split            // what fastcgi_split_path_info has found
}

// split is a path that was parted.
type split struct{ name, info string }

// fixedNames are variables that are the same placeholder everywhere.
var fixedNames = map[string]string{
	"uri": "{path}", "document_uri": "{path}", "request_uri": "{request_uri}", "args": "{query}", "query_string": "{query}",
	"host": "{host}", "http_host": "{header.Host}", "scheme": "{scheme}", "request_method": "{method}", "remote_addr": "{client}",
	"binary_remote_addr": "{client}", "remote_user": "{user}", "request_id": "{request_id}",
	"content_type": "{header.Content-Type}", "content_length": "{header.Content-Length}",
	"ssl_protocol": "{tls.version}", "ssl_cipher": "{tls.cipher}", "ssl_client_verify": "{tls.client.verify}",
	"ssl_client_s_dn": "{tls.client.subject}", "ssl_client_i_dn": "{tls.client.issuer}", "ssl_client_serial": "{tls.client.serial}",
	"ssl_client_fingerprint": "{tls.client.fingerprint}", "proxy_add_x_forwarded_for": "{header.X-Forwarded-For}",
}

// logNames are those of a log.
var logNames = map[string]string{
	"status": "{status}", "body_bytes_sent": "{bytes}", "bytes_sent": "{bytes}", "request": "{request}", "request_time": "{duration}",
	"time_local": "{time}", "time_iso8601": "{time_iso}", "msec": "{time_unix}", "server_protocol": "{protocol}", "upstream_addr": "{upstream}",
	"upstream_header_time": "{upstream_time}", "upstream_response_time": "{upstream_time}", // to the head, as long as what follows is at hand
}

// noNames are variables that have no counterpart, and why.
var noNames = map[string]string{
	"limit_rate": "responses have no rate here", "connection": "connections have no numbers here", "connection_requests": "they are not counted here",
	"pid": "it is no one process that answers", "request_body": "no body is kept for texts", "request_body_file": "no body is kept for texts",
	"request_length": "requests are not counted in bytes", "remote_port": "no text has it; an app is told by itself", "server_addr": "no text has it; an app is told by itself",
	"request_completion": "no text has it", "hostname": "no text has the machine's name; write it out",
	"upstream_connect_time": "connections are kept, and have no time of their own; $upstream_header_time is known", "upstream_status": "the status of a back end is not told apart; {status} is that of the response",
	"upstream_cache_status": "the response header Cache-Status says it", "gzip_ratio": "it is not counted", "tcpinfo_rtt": "no text has it", "nginx_version": "there is no nginx here",
	"is_args": "it stands before $args alone: $is_args$args", "proxy_protocol_addr": "set_real_ip_from and proxy_protocol make it $remote_addr", "pipe": "no text has it",
	"geoip_country_code": "there is no such table here", "geoip2_data_country_code": "there is no such table here", "invalid_referer": "valid_referers is not carried over",
	"ssl_session_id": "no text has it", "ssl_session_reused": "no text has it", "ssl_server_name": "{host} is the name, and no other passes",
	"ssl_client_cert": "no text has it; an app is told by itself", "ssl_client_escaped_cert": "no text has it; an app is told by itself", "ssl_client_raw_cert": "no text has it; an app is told by itself",
	"realip_remote_addr": "the address of the proxy is not kept for texts", "date_gmt": "no text has the time", "date_local": "no text has the time", "upstream_bytes_received": "they are not counted for texts",
}

// expand makes a text of a word. False: it named what there is not, which was
// said.
func (s *scope) expand(w word, for_ use) (string, bool) {
	var b strings.Builder
	ok, text := true, w.text
	for i := 0; i < len(text); {
		c := text[i]
		if c != '$' {
			if c == '{' {
				b.WriteByte('{')
			}
			b.WriteByte(c)
			i++
			continue
		}
		name, n := variable(text[i:])
		if n == 0 {
			s.site.a.problem(w.at, fmt.Sprintf("invalid variable name in %q", text), "a $ begins a variable: there is no way to write the character itself, in nginx as well")
			return "", false
		}
		i += n
		if name == "is_args" { // the "?" goes with an empty query
			if next, _ := variable(text[i:]); next == "args" || next == "query_string" {
				b.WriteByte('?')
				continue
			}
		}
		value, found := s.value(name, w, for_)
		ok = ok && found
		b.WriteString(value)
	}
	return b.String(), ok
}

// variable is the name that a text begins with, behind its "$", and how long it
// is there; 0: none.
func variable(text string) (name string, n int) {
	if len(text) < 2 || text[0] != '$' {
		return "", 0
	}
	if text[1] == '{' {
		end := strings.IndexByte(text, '}')
		if end < 3 {
			return "", 0
		}
		return text[2:end], end + 1
	}
	if text[1] >= '1' && text[1] <= '9' {
		return text[1:2], 2
	}
	n = 1
	for n < len(text) && isWord(text[n]) {
		n++
	}
	if n == 1 {
		return "", 0
	}
	return text[1:n], n
}

// value is what a variable stands for.
func (s *scope) value(name string, w word, for_ use) (string, bool) {
	if text, ok := s.own(name); ok {
		return text, true
	}
	if where, is := s.vague[name]; is {
		s.site.a.problem(w.at, fmt.Sprintf("variable %q is set under a condition (%s), and cannot be followed from there to here", "$"+name, where), "write what depends on it within that if, or a map")
		return "", false
	}
	if for_ == forLog {
		if text, ok := logNames[name]; ok {
			return text, true
		}
	}
	if for_ == forLog || for_ == forResponse {
		if header, is := strings.CutPrefix(name, "sent_http_"); is {
			return "{response." + headerName(header) + "}", true
		}
	}
	if text, ok := s.ofPlace(name); ok {
		return text, true
	}
	if text, ok := fixedNames[name]; ok {
		return text, true
	}
	for prefix, family := range map[string]string{"http_": "header", "arg_": "query", "cookie_": "cookie"} {
		if key, is := strings.CutPrefix(name, prefix); is && key != "" {
			if family == "header" {
				key = headerName(key)
			}
			return "{" + family + "." + key + "}", true
		}
	}
	if s.site.a.maps[name] != nil {
		text, ok := s.site.useMap(name, w)
		if s.site.ofResponse[name] && for_ != forLog && for_ != forResponse {
			s.site.a.problem(w.at, fmt.Sprintf("variable %q is not carried over here: it is of the response, which is not there yet", "$"+name), "add_header, expires and logs know it")
			return "", false
		}
		return text, ok
	}
	if why, is := noNames[name]; is {
		s.site.a.problem(w.at, fmt.Sprintf("variable %q is not carried over: %s", "$"+name, why), "leave it out")
		return "", false
	}
	if strings.HasPrefix(name, "upstream_http_") || strings.HasPrefix(name, "sent_http_") || strings.HasPrefix(name, "upstream_cookie_") {
		s.site.a.problem(w.at, fmt.Sprintf("variable %q is not carried over: it is of the response, which is not there yet", "$"+name), "add_header, expires and logs know $sent_http_NAME")
		return "", false
	}
	if strings.HasPrefix(name, "upstream_") || logNames[name] != "" {
		s.site.a.problem(w.at, fmt.Sprintf("variable %q is not carried over here: only a log has it", "$"+name), "leave it out")
		return "", false
	}
	hint := "no set, map, geo or split_clients makes it"
	if near := suggest.Nearest(name, s.known()); near != "" {
		hint = fmt.Sprintf("did you mean %q?", "$"+near)
	}
	s.site.a.problem(w.at, fmt.Sprintf("unknown %q variable", name), hint)
	return "", false
}

// known are names for suggestions.
func (s *scope) known() []string {
	names := slices.Collect(maps.Keys(fixedNames))
	names = append(names, slices.Collect(maps.Keys(s.vars))...)
	names = append(names, slices.Collect(maps.Keys(s.site.a.maps))...)
	slices.Sort(names)
	return names
}

// own is a variable that was set, or a group.
func (s *scope) own(name string) (string, bool) {
	if text, ok := s.vars[name]; ok {
		return text, true
	}
	if n, err := strconv.Atoi(name); err == nil && len(name) == 1 && n > 0 {
		if n <= len(s.groups) {
			return s.groups[n-1], true
		}
		return "", true // as nginx has it: empty
	}
	for _, group := range []string{name, name + "_"} {
		if slices.Contains(s.names, group) && (group == name || slices.Contains(taken, name)) {
			return "{" + group + "}", true
		}
	}
	return "", false
}

// ofPlace is a variable that depends on the server or the location.
func (s *scope) ofPlace(name string) (string, bool) {
	switch name {
	case "server_name":
		return s.site.name, true
	case "server_port":
		if len(s.site.ports) == 1 {
			return s.site.ports[0], true
		}
		return "{port}", true
	case "document_root":
		root, _, ok := s.site.root(s)
		return root, ok
	case "realpath_root":
		root, at, ok := s.site.root(s)
		plain, is := literal(root)
		if ok && (!is || strings.ContainsAny(plain, "{}")) {
			s.site.a.problem(at.at, fmt.Sprintf("variable \"$realpath_root\" of the root %q is not carried over", root), "write $document_root")
			return "", false
		}
		return "{realpath." + plain + "}", ok
	case "request_filename":
		return s.site.fileOf(s)
	case "https":
		return s.site.httpsMap(), true
	case "fastcgi_script_name":
		if s.script != nil {
			return s.script.name, true
		}
		return "{path}", true
	case "fastcgi_path_info":
		if s.script != nil {
			return s.script.info, true
		}
		return "", true
	}
	return "", false
}

// headerName is a header's name of a variable's.
func headerName(name string) string {
	parts := strings.Split(name, "_")
	for i, p := range parts {
		if p != "" {
			parts[i] = strings.ToUpper(p[:1]) + strings.ToLower(p[1:])
		}
	}
	return strings.Join(parts, "-")
}

// literal is a text that is the same for every request; false: it is not.
func literal(text string) (string, bool) {
	plain := strings.ReplaceAll(text, "{{", "")
	if strings.Contains(plain, "{") {
		return "", false
	}
	return strings.ReplaceAll(text, "{{", "{"), true
}

// fixed is the literal of a word; what depends on the request was complained of.
func (s *scope) fixed(w word, what string) (string, bool) {
	text, ok := s.expand(w, forText)
	if !ok {
		return "", false
	}
	plain, is := literal(text)
	if !is {
		s.site.a.problem(w.at, fmt.Sprintf("%s depends on the request: %q", what, w.text), "write it out")
	}
	return plain, is
}
