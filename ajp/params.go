package ajp

// A FORWARD_REQUEST as parameters of a gateway.Request, and the other way
// round.

import (
	"fmt"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"millrace/gateway"
)

// plainAttributes are the parameters of the attributes that are one string.
var plainAttributes = [...]string{
	attrContext:     "CONTEXT", // these two and JVM_ROUTE are named as flup names them
	attrServletPath: "SERVLET_PATH",
	attrRemoteUser:  "REMOTE_USER",
	attrAuthType:    "AUTH_TYPE",
	attrRoute:       "JVM_ROUTE",
	attrSSLCert:     "SSL_CLIENT_CERT", // these and SSL_CIPHER_USEKEYSIZE as Apache's mod_ssl does
	attrSSLCipher:   "SSL_CIPHER",
	attrSSLSession:  "SSL_SESSION_ID",
}

const paramKeySize = "SSL_CIPHER_USEKEYSIZE"

// requestAttributes are the parameters of the request attributes by which
// Apache and mod_jk say what the protocol has no place for. The latter half is
// what IIS says of a client's certificate, under the names that it has there.
var requestAttributes = map[string]string{
	"AJP_REMOTE_PORT":   "REMOTE_PORT",
	"AJP_LOCAL_ADDR":    "SERVER_ADDR",
	"AJP_SSL_PROTOCOL":  "SSL_PROTOCOL",
	"JK_LB_ACTIVATION":  "JK_LB_ACTIVATION",
	"CERT_ISSUER":       "CERT_ISSUER",
	"CERT_SUBJECT":      "CERT_SUBJECT",
	"CERT_COOKIE":       "CERT_COOKIE",
	"CERT_FLAGS":        "CERT_FLAGS",
	"CERT_SERIALNUMBER": "CERT_SERIALNUMBER",

	"HTTPS_SERVER_SUBJECT": "HTTPS_SERVER_SUBJECT",
	"HTTPS_SERVER_ISSUER":  "HTTPS_SERVER_ISSUER",
	"HTTPS_SECRETKEYSIZE":  "HTTPS_SECRETKEYSIZE",
	"HTTPS_KEYSIZE":        "HTTPS_KEYSIZE",
}

// codedParams are the parameters of the coded headers; "" is left out.
var codedParams = map[string]string{
	"Accept": "HTTP_ACCEPT", "Accept-Charset": "HTTP_ACCEPT_CHARSET", "Accept-Encoding": "HTTP_ACCEPT_ENCODING",
	"Accept-Language": "HTTP_ACCEPT_LANGUAGE", "Authorization": "HTTP_AUTHORIZATION", "Connection": "",
	"Content-Type": "CONTENT_TYPE", "Content-Length": "CONTENT_LENGTH", "Cookie": "HTTP_COOKIE",
	"Cookie2": "HTTP_COOKIE2", "Host": "HTTP_HOST", "Pragma": "HTTP_PRAGMA", "Referer": "HTTP_REFERER",
	"User-Agent": "HTTP_USER_AGENT",
}

// reserved reports whether a request attribute must not become a parameter of
// this name: it would pass for what the server computes, for a header, or for
// what a servlet container lets its own code say (CVE-2020-1938 read any file
// by javax.servlet.include.*).
func reserved(name string) bool {
	for _, prefix := range []string{"HTTP_", "CONTENT_", "FCGI_", "SERVER_", "REMOTE_", "REQUEST_", "SCRIPT_", "PATH_", "DOCUMENT_",
		"javax.", "jakarta.", "org.apache.", "wsgi."} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	switch name {
	case "", "SSL_CLIENT_CERT", "SSL_CIPHER", "SSL_SESSION_ID", "SSL_PROTOCOL", paramKeySize, "AUTH_TYPE", "GATEWAY_INTERFACE", "HTTPS", "QUERY_STRING", "CONTEXT", "SERVLET_PATH", "JVM_ROUTE":
		return true
	}
	for i := range len(name) {
		if c := name[i]; c <= ' ' || c == '=' || c >= 0x7f {
			return true
		}
	}
	return false
}

// attributeError is a request attribute that is not let in.
type attributeError struct{ name string }

func (e *attributeError) Error() string {
	return fmt.Sprintf("ajp: the request attribute %.64q is not allowed; name it in AllowAttributes if the application needs it", e.name)
}

// params are the parameters of a request, and the length of its body:
// negative when it is not known, and an empty packet ends it. literal says that
// the path is decoded.
func (f *forward) params(allow []string, literal bool) (params []gateway.Param, length int64, err error) {
	params = make([]gateway.Param, 0, 12+len(f.headers)+len(f.attributes))
	add := func(name, value string) { params = append(params, gateway.Param{Name: name, Value: value}) }
	query, hasQuery := "", false
	for i := range f.attributes {
		if a := &f.attributes[i]; a.code == attrQueryString {
			query, hasQuery = a.value, true
		}
	}
	uri := f.uri
	if literal || !encoded(uri) {
		uri = escapePath(uri)
	}
	if hasQuery {
		uri += "?" + query
	}
	add("REQUEST_METHOD", f.method)
	add("REQUEST_URI", uri)
	add("QUERY_STRING", query)
	add("SERVER_PROTOCOL", f.protocol)
	add("SERVER_NAME", f.serverName)
	add("SERVER_PORT", strconv.Itoa(f.serverPort))
	add("REMOTE_ADDR", f.remoteAddr)
	if f.remoteHost != "" {
		add("REMOTE_HOST", f.remoteHost)
	}
	if f.ssl {
		add("REQUEST_SCHEME", "https")
		add("HTTPS", "on")
	} else {
		add("REQUEST_SCHEME", "http")
	}
	if params, length, err = f.headerParams(params); err == nil {
		params, err = f.attributeParams(params, allow)
	}
	return params, length, err
}

// headerParams appends the headers' parameters. Names that hold anything but
// letters, digits and hyphens are left out, and so is Proxy: see
// gateway.AppendHTTP.
func (f *forward) headerParams(params []gateway.Param) ([]gateway.Param, int64, error) {
	length, hasLength, chunked := int64(0), false, false
	for i := range f.headers {
		h := &f.headers[i]
		name, coded := codedParams[h.name]
		if !coded {
			name = paramName(h.name)
		}
		switch name {
		case "":
			continue
		case "HTTP_TRANSFER_ENCODING": // Apache passes it on, and decodes the body
			if !strings.EqualFold(h.value, "chunked") || chunked {
				return nil, 0, fmt.Errorf("ajp: Transfer-Encoding %.64q: only chunked, once, is known", h.value)
			}
			chunked = true
			continue
		case "CONTENT_LENGTH":
			n, err := gateway.ParseLength(h.value)
			if err != nil {
				return nil, 0, err
			}
			if hasLength && n != length {
				return nil, 0, fmt.Errorf("ajp: two lengths of the body, %d and %d", length, n)
			}
			hasLength, length = true, n
		}
		params = append(params, gateway.Param{Name: name, Value: h.value})
	}
	if chunked {
		if hasLength {
			return nil, 0, fmt.Errorf("ajp: both Content-Length and Transfer-Encoding")
		}
		length = -1
	}
	return params, length, nil
}

// paramName is the parameter of an uncoded header, "" for one to leave out.
func paramName(header string) string {
	b := make([]byte, 0, 64)
	b = append(b, "HTTP_"...)
	for i := range len(header) {
		c := header[i]
		switch {
		case 'a' <= c && c <= 'z':
			c -= 'a' - 'A'
		case 'A' <= c && c <= 'Z' || '0' <= c && c <= '9':
		case c == '-':
			c = '_'
		default:
			return ""
		}
		b = append(b, c)
	}
	switch string(b) {
	case "HTTP_PROXY", "HTTP_CONNECTION", "HTTP_KEEP_ALIVE", "HTTP_PROXY_CONNECTION", "HTTP_TE", "HTTP_TRAILER", "HTTP_UPGRADE", "HTTP_EXPECT":
		return ""
	case "HTTP_CONTENT_TYPE":
		return "CONTENT_TYPE"
	case "HTTP_CONTENT_LENGTH":
		return "CONTENT_LENGTH"
	}
	return string(b)
}

func (f *forward) attributeParams(params []gateway.Param, allow []string) ([]gateway.Param, error) {
	for i := range f.attributes {
		a := &f.attributes[i]
		name := ""
		switch a.code {
		case attrQueryString, attrSecret:
			continue
		case attrSSLKeySize:
			params = append(params, gateway.Param{Name: paramKeySize, Value: strconv.Itoa(a.size)})
			continue
		case attrRequest:
			known := false
			if name, known = requestAttributes[a.name]; !known {
				if reserved(a.name) || !slices.Contains(allow, a.name) {
					return nil, &attributeError{a.name}
				}
				name = a.name
			}
			if name == "REMOTE_PORT" && !isPort(a.value) {
				return nil, fmt.Errorf("ajp: AJP_REMOTE_PORT %.32q is no port", a.value)
			}
		default:
			if a.value == "" {
				continue
			}
			name = plainAttributes[a.code]
		}
		params = append(params, gateway.Param{Name: name, Value: a.value})
	}
	return params, nil
}

func isPort(s string) bool {
	_, err := strconv.ParseUint(s, 10, 16)
	return err == nil
}

// encoded reports whether a path can be the spelling of a URI. What cannot has
// been decoded by the front server.
func encoded(path string) bool {
	for i := 0; i < len(path); i++ {
		switch c := path[i]; {
		case c <= ' ' || c >= 0x7f || c == '?' || c == '#':
			return false
		case c == '%' && (i+2 >= len(path) || !isHex(path[i+1]) || !isHex(path[i+2])):
			return false
		}
	}
	return true
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func escapePath(path string) string { return (&url.URL{Path: path}).EscapedPath() }

// requestOf makes the FORWARD_REQUEST of a gateway.Request: the headers, the
// attributes that the protocol has a code or a customary name for, and those
// request attributes whose names are in extra.
func requestOf(req *gateway.Request, extra []string, secret string) (*forward, error) {
	f := &forward{protocol: "HTTP/1.1"}
	m := pathOf{}
	f.headers = make([]field, 0, len(req.Params))
	hasLength, port := req.ContentLength > 0, ""
	last := lastOf(req.Params)
	for i := range req.Params {
		p := &req.Params[i]
		if !last(i) {
			continue
		}
		if rest, ok := strings.CutPrefix(p.Name, "HTTP_"); ok {
			if name := sentHeader(rest); name != "" {
				f.headers = append(f.headers, field{name, p.Value})
			}
			continue
		}
		switch p.Name {
		case "REQUEST_METHOD":
			f.method = p.Value
		case "SERVER_PROTOCOL":
			f.protocol = p.Value
		case "REQUEST_URI":
			m.uri = p.Value
		case "SCRIPT_NAME":
			m.script = p.Value
		case "PATH_INFO":
			m.info = p.Value
		case "REMOTE_ADDR":
			f.remoteAddr = p.Value
		case "REMOTE_HOST":
			f.remoteHost = p.Value
		case "SERVER_NAME":
			f.serverName = p.Value
		case "SERVER_PORT":
			port = p.Value
		case "HTTPS":
			f.ssl = f.ssl || p.Value != "" && !strings.EqualFold(p.Value, "off") && p.Value != "0"
		case "REQUEST_SCHEME":
			f.ssl = f.ssl || strings.EqualFold(p.Value, "https")
		case "CONTENT_TYPE":
			if p.Value != "" {
				f.headers = append(f.headers, field{"Content-Type", p.Value})
			}
		case "CONTENT_LENGTH":
			hasLength = hasLength || p.Value != ""
		default:
			f.addAttribute(p, extra)
		}
	}
	if f.method == "" {
		return nil, fmt.Errorf("ajp: the request has no REQUEST_METHOD")
	}
	if hasLength {
		f.headers = append(f.headers, field{"Content-Length", strconv.FormatInt(req.ContentLength, 10)})
	}
	f.uri = m.path()
	if err := f.setPort(port); err != nil {
		return nil, err
	}
	if secret != "" {
		f.attributes = append(f.attributes, attribute{code: attrSecret, value: secret})
	}
	return f, nil
}

// lastOf tells which parameter is the last one of its name, and holds.
func lastOf(params []gateway.Param) func(i int) bool {
	if len(params) > 64 {
		last := make(map[string]int, len(params))
		for i := range params {
			last[params[i].Name] = i
		}
		return func(i int) bool { return last[params[i].Name] == i }
	}
	return func(i int) bool {
		for j := i + 1; j < len(params); j++ {
			if params[j].Name == params[i].Name {
				return false
			}
		}
		return true
	}
}

func (f *forward) setPort(port string) error {
	if port == "" {
		f.serverPort = 80
		if f.ssl {
			f.serverPort = 443
		}
		return nil
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return fmt.Errorf("ajp: SERVER_PORT %.32q is no port", port)
	}
	f.serverPort = int(n)
	return nil
}

func (f *forward) addAttribute(p *gateway.Param, extra []string) {
	if p.Value == "" && p.Name != "QUERY_STRING" {
		return
	}
	a := attribute{value: p.Value}
	switch p.Name {
	case "QUERY_STRING":
		if p.Value == "" {
			return
		}
		a.code = attrQueryString
	case paramKeySize:
		n, err := strconv.ParseUint(p.Value, 10, 16)
		if err != nil {
			return
		}
		a = attribute{code: attrSSLKeySize, size: int(n)}
	case "REMOTE_PORT":
		a.code, a.name = attrRequest, "AJP_REMOTE_PORT"
	case "SERVER_ADDR":
		a.code, a.name = attrRequest, "AJP_LOCAL_ADDR"
	case "SSL_PROTOCOL":
		a.code, a.name = attrRequest, "AJP_SSL_PROTOCOL"
	default:
		if code, ok := codeOf(plainAttributes[:], p.Name); ok {
			a.code = byte(code)
		} else if slices.Contains(extra, p.Name) {
			a.code, a.name = attrRequest, p.Name
		} else {
			return
		}
	}
	f.attributes = append(f.attributes, a)
}

// sentHeader is the header of the parameter HTTP_ and rest, "" for one that is
// not sent: framing is the protocol's, and Proxy is nobody's.
func sentHeader(rest string) string {
	b := make([]byte, len(rest))
	for i := range len(rest) {
		b[i] = rest[i]
		if b[i] == '_' {
			b[i] = '-'
		}
	}
	name := textproto.CanonicalMIMEHeaderKey(string(b))
	switch name {
	case "Content-Length", "Content-Type", "Proxy", "Expect":
		return ""
	}
	if gateway.Hop(name) || !isToken(name) {
		return ""
	}
	return name
}

// pathOf are the parameters that tell a request's path.
type pathOf struct{ uri, script, info string }

// path is the URI that is sent: the client's spelling if that says the same as
// SCRIPT_NAME and PATH_INFO, which hold where the request was rewritten.
func (p *pathOf) path() string {
	raw, _, _ := strings.Cut(p.uri, "?")
	if _, rest, ok := strings.Cut(raw, "://"); ok && !strings.HasPrefix(raw, "/") {
		_, path, _ := strings.Cut(rest, "/")
		raw = "/" + path
	}
	decoded := p.script + p.info
	if decoded == "" && raw != "" {
		return raw
	}
	if path, err := url.PathUnescape(raw); err == nil && path == decoded && raw != "" && encoded(raw) {
		return raw
	}
	if decoded == "*" {
		return decoded
	}
	if !strings.HasPrefix(decoded, "/") {
		decoded = "/" + decoded
	}
	return escapePath(decoded)
}

// bodyless reports whether a response to this method and with this status has
// no body, whatever its Content-Length says.
func bodyless(method string, status int) bool {
	return method == http.MethodHead || status == http.StatusNoContent || status == http.StatusNotModified
}
