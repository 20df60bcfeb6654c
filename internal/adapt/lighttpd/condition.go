package lighttpd

// This file: what conditions there are, and which of them say the same.

import (
	"net/netip"
	"strings"

	"millrace/internal/adapt/document"
	"millrace/internal/adapt/pcre"
	"millrace/internal/suggest"
)

// fields are the names of $HTTP["…"], and what each is about.
var fields = map[string]string{
	"url": "url", "host": "host", "scheme": "scheme",
	"remoteip": "remote-ip", "remote-ip": "remote-ip",
	"querystring": "query-string", "query-string": "query-string",
	"request-method": "request-method",
	"referer":        "header:Referer", "cookie": "header:Cookie",
	"useragent": "header:User-Agent", "user-agent": "header:User-Agent", "language": "header:Accept-Language",
}

// canonical is a condition by what it means, not by how it is written: a regexp
// that is a text with anchors is an equal, a prefix or a suffix.
func canonical(family, name, op string, v *value, at document.Place) (*condition, error) {
	c := &condition{op: op, value: v.text, at: at, text: "$" + family + `["` + name + `"] ` + op + ` "` + v.text + `"`}
	switch {
	case family == "SERVER" && name == "socket":
		c.field = "socket"
	case family == "REQUEST_HEADER":
		c.field, c.name = "header", name
	case family == "HTTP" && fields[name] != "":
		c.field, c.name, _ = strings.Cut(fields[name], ":")
	default:
		hint := `conditions are $HTTP["host"], ["url"], ["query-string"], ["remote-ip"], ["request-method"], ["scheme"], ["user-agent"], ["referer"], ["cookie"], ["language"], $REQUEST_HEADER["NAME"] and $SERVER["socket"]`
		if like := suggest.Nearest(name, fieldNames()); like != "" && family == "HTTP" {
			hint = `did you mean $HTTP["` + like + `"]?`
		}
		return nil, fail(at, "error comp_key $"+family+`["`+shown(name)+`"] `+op+` "`+shown(v.text)+`"`, hint)
	}
	if c.op == "=~" && c.field != "socket" {
		c.simplify()
	}
	switch {
	case c.op == "=~" || c.op == "!~":
		return c, c.regexp(v.at)
	case c.field == "remote-ip" && (c.op == "==" || c.op == "!="):
		text := strings.NewReplacer("[", "", "]", "").Replace(c.value)
		if _, err := netip.ParseAddr(text); err != nil && !strings.HasPrefix(text, "/") {
			prefix, err := netip.ParsePrefix(text)
			if err != nil {
				return nil, fail(v.at, "invalid IP addr: "+shown(c.value), "write an address, 192.0.2.1, or a network, 192.0.2.0/24")
			}
			text = prefix.Masked().String()
		}
		c.value = text
	case c.field == "host":
		c.value = strings.ToLower(c.value)
	}
	return c, nil
}

func fieldNames() []string {
	var names []string
	for name := range fields {
		names = append(names, name)
	}
	return names
}

// simplify makes "^text", "text$", "\.text$" and "^text$" what they are.
func (c *condition) simplify() {
	expr := c.value
	body, isPrefix := strings.CutPrefix(expr, "^")
	body, isSuffix := strings.CutSuffix(body, "$")
	if strings.HasSuffix(body, `\`) {
		return
	}
	if !isPrefix && isSuffix && strings.HasPrefix(body, `\.`) {
		body = body[1:]
		if strings.ContainsAny(body[1:], `\^$.|?*+()[]{}`) {
			return
		}
		c.op, c.value = "=$", body
		return
	}
	if strings.ContainsAny(body, `\^$.|?*+()[]{}`) {
		return
	}
	switch {
	case isPrefix && isSuffix:
		c.op, c.value = "==", body
	case isPrefix:
		c.op, c.value = "=^", body
	case isSuffix:
		c.op, c.value = "=$", body
	}
}

// regexp checks that the expression is one of ours.
func (c *condition) regexp(at document.Place) error {
	if _, problem := translate(c.value); problem != "" {
		return fail(at, "regular expression "+quote(c.value)+" "+problem, hintOfRegexp)
	}
	return nil
}

const hintOfRegexp = "expressions are RE2's here, which have no look-ahead, look-behind or back references"

func quote(s string) string { return `"` + shown(s) + `"` }

// translate is a PCRE as RE2 has it; the text tells why there is none.
func translate(expr string) (string, string) {
	p, err := pcre.Translate(expr, 0)
	if err != nil {
		return "", "cannot be carried over: " + strings.TrimPrefix(err.Error(), "error parsing regexp: ")
	}
	return p.Expr, ""
}
