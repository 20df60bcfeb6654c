package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
)

// Front is what a server of a gateway protocol knows of a request beside what
// an http.Request can say. FrontOf finds it.
type Front struct {
	Protocol string // "fastcgi", "scgi", "uwsgi", "ajp" or "cgi"
	Role     Role

	// Params are the parameters as the front server sent them.
	Params []Param

	// ScriptName and PathInfo are the two parts of the path, decoded. When
	// HasPathInfo is false the front server sent no PATH_INFO, and PathInfo is
	// the whole path of DOCUMENT_URI, else of REQUEST_URI, under an empty
	// ScriptName: with the stock fastcgi_params and scgi_params of nginx
	// SCRIPT_NAME is the whole path too, and says nothing.
	ScriptName, PathInfo string
	HasPathInfo          bool

	// Data is the file that a Filter works on, of DataLength bytes.
	Data       io.Reader
	DataLength int64

	// Stderr takes text for the front server's error log; nil where the
	// protocol has no way to say it.
	Stderr io.Writer
}

type frontKey struct{}

// arrived is the context of a request that came over a gateway protocol, and
// what belongs to it: one allocation instead of three.
type arrived struct {
	context.Context
	front Front
	url   url.URL
}

func (a *arrived) Value(key any) any {
	if key == (frontKey{}) {
		return &a.front
	}
	return a.Context.Value(key)
}

// FrontOf returns what the front server said of the request with this
// context, nil if it did not come over a gateway protocol.
func FrontOf(ctx context.Context) *Front {
	front, _ := ctx.Value(frontKey{}).(*Front)
	return front
}

// Incoming is a request as a protocol's server has read it.
type Incoming struct {
	Protocol string // see Front
	Role     Role
	Params   []Param // kept
	Body     io.Reader
	Data     io.Reader // of a Filter
	Stderr   io.Writer // see Front

	// Streamed says that the protocol itself tells where Body ends: without a
	// CONTENT_LENGTH its length is unknown. Otherwise it is empty then.
	Streamed bool

	Conn net.Conn // for the addresses that no parameter tells; may be nil

	// Script says that the server was started for one script, whose SCRIPT_NAME
	// the front server therefore knows (CGI, or FastCGI on descriptor 0): a
	// missing PATH_INFO is an empty one.
	Script bool
}

// ToHTTP makes the http.Request of a request that came over a gateway
// protocol. Its context is ctx with the request's Front.
//
// A parameter that is HTTP_* becomes a header; HTTP_PROXY does not, nor does
// what belongs to a connection. Of a parameter that comes twice the last
// holds; headers are joined as AppendHTTP joins them, since nginx before 1.23
// sends those of one name one by one. An error is the front server's fault and
// is answered with 400: no method, a path with control characters, a length
// that is no number, two lengths or content types that differ.
func ToHTTP(ctx context.Context, in Incoming) (*http.Request, error) {
	a := &arrived{Context: ctx}
	front := &a.front
	*front = Front{Protocol: in.Protocol, Role: in.Role, Params: in.Params, Data: in.Data, Stderr: in.Stderr}
	var m meta
	err := m.read(in.Params)
	if err != nil {
		return nil, err
	}
	if err := front.setPath(&m, in.Script); err != nil {
		return nil, err
	}
	front.setURL(&a.url, &m)
	r := (&http.Request{}).WithContext(a) // the copy is the only one that is allocated
	r.Method = m.method
	r.Host = m.host
	r.Header = m.header
	r.RemoteAddr = m.remote(in.Conn)
	r.RequestURI = m.requestURI
	r.URL = &a.url
	r.Body = http.NoBody
	if r.RequestURI == "" {
		r.RequestURI = r.URL.RequestURI()
	}
	var ok bool
	if r.ProtoMajor, r.ProtoMinor, ok = http.ParseHTTPVersion(m.protocol); ok {
		r.Proto = m.protocol
	} else { // "INCLUDED", or nothing
		r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/1.0", 1, 0
	}
	if m.https {
		r.TLS = &tls.ConnectionState{HandshakeComplete: true}
	}
	if m.contentLength != "" {
		if r.ContentLength, err = ParseLength(m.contentLength); err != nil {
			return nil, err
		}
		r.Header["Content-Length"] = []string{m.contentLength}
	} else if in.Streamed {
		r.ContentLength = -1
	}
	if in.Body != nil && r.ContentLength != 0 {
		r.Body = io.NopCloser(in.Body)
	}
	if in.Role == Filter && m.dataLength != "" {
		if front.DataLength, err = ParseLength(m.dataLength); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// meta are the parameters that an http.Request has fields for.
type meta struct {
	method, protocol, requestURI, documentURI, query string
	host, serverName, serverPort                     string
	remoteAddr, remotePort                           string
	contentLength, dataLength                        string
	scriptName, pathInfo                             string
	hasPathInfo, hasQuery, https                     bool
	header                                           http.Header
	repeated                                         bool // a header came more than once
}

func (m *meta) read(params []Param) error {
	headers := 1 // CONTENT_TYPE
	for i := range params {
		if strings.HasPrefix(params[i].Name, "HTTP_") {
			headers++
		}
	}
	m.header = make(http.Header, headers)
	values := make([]string, 0, headers) // the headers' one-value slices are parts of this one
	set := func(name, value string) {
		values = append(values, value)
		m.header[name] = values[len(values)-1 : len(values) : len(values)]
	}
	contentType := ""
	for i := range params {
		name, value := params[i].Name, params[i].Value
		if rest, ok := strings.CutPrefix(name, "HTTP_"); ok {
			header, ok := headerName(rest)
			switch have := m.header[header]; {
			case header == "Host":
				m.host = value
			case !ok:
			case breaksLine(value):
				return fmt.Errorf("gateway: control character in the value of header %.64q", header)
			case have == nil:
				set(header, value)
			default:
				m.header[header], m.repeated = append(have, value), true
			}
			continue
		}
		switch name {
		case "REQUEST_METHOD":
			m.method = value
		case "SERVER_PROTOCOL":
			m.protocol = value
		case "REQUEST_URI":
			m.requestURI = value
		case "DOCUMENT_URI":
			m.documentURI = value
		case "QUERY_STRING":
			m.query, m.hasQuery = value, true
		case "SERVER_NAME":
			m.serverName = value
		case "SERVER_PORT":
			m.serverPort = value
		case "REMOTE_ADDR":
			m.remoteAddr = value
		case "REMOTE_PORT":
			m.remotePort = value
		case "SCRIPT_NAME":
			m.scriptName = value
		case "PATH_INFO":
			m.pathInfo, m.hasPathInfo = value, true
		case "HTTPS":
			m.https = value != "" && !strings.EqualFold(value, "off") && value != "0"
		case "REQUEST_SCHEME":
			m.https = m.https || strings.EqualFold(value, "https")
		case "FCGI_DATA_LENGTH":
			m.dataLength = value
		case "CONTENT_LENGTH":
			if m.contentLength != "" && value != m.contentLength {
				return fmt.Errorf("gateway: two lengths of the body, %.32q and %.32q", m.contentLength, value)
			}
			m.contentLength = value
		case "CONTENT_TYPE":
			if contentType != "" && value != contentType {
				return ErrDuplicateContentType
			}
			contentType = value
		}
	}
	if contentType != "" {
		if breaksLine(contentType) {
			return fmt.Errorf("gateway: control character in CONTENT_TYPE %.64q", contentType)
		}
		set("Content-Type", contentType)
	}
	if m.repeated {
		m.join()
	}
	if m.host == "" && m.serverName != "" {
		m.setHost()
	}
	return m.check()
}

// join makes one value of each header, once all are known: one by one the cost
// would be the square of their number.
func (m *meta) join() {
	for name, values := range m.header {
		if len(values) > 1 {
			separator := ", "
			if name == "Cookie" {
				separator = "; "
			}
			m.header[name] = []string{strings.Join(values, separator)}
		}
	}
}

// setHost makes the host that the client must have asked for. HAProxy's
// SERVER_NAME is the Host header as it came, its port included.
func (m *meta) setHost() {
	m.host = m.serverName
	switch strings.Count(m.host, ":") {
	case 0:
	case 1:
		return
	default:
		if strings.HasPrefix(m.host, "[") {
			if !strings.HasSuffix(m.host, "]") {
				return
			}
		} else {
			m.host = "[" + m.host + "]"
		}
	}
	if p := m.serverPort; p != "" && p != "80" && !(p == "443" && m.https) {
		m.host += ":" + p
	}
}

// errNoMethod is for a request without a REQUEST_METHOD that could be one.
var errNoMethod = errors.New("gateway: REQUEST_METHOD is missing or no token")

func (m *meta) check() error {
	if m.method == "" {
		return errNoMethod
	}
	for i := range len(m.method) {
		if !token[m.method[i]] {
			return errNoMethod
		}
	}
	for _, v := range [...]*string{&m.requestURI, &m.query, &m.host, &m.remoteAddr, &m.remotePort} {
		if hasControl(*v) {
			return fmt.Errorf("gateway: control character in %.64q", *v)
		}
	}
	return nil
}

// breaksLine reports whether s holds what ends a header's line, or its text.
func breaksLine(s string) bool {
	return strings.IndexByte(s, '\n') >= 0 || strings.IndexByte(s, '\r') >= 0 || strings.IndexByte(s, 0) >= 0
}

func hasControl(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f {
			return true
		}
	}
	return false
}

// remote is the client's address, as http.Request.RemoteAddr has it.
func (m *meta) remote(c net.Conn) string {
	if m.remoteAddr == "" {
		if c == nil || c.RemoteAddr() == nil {
			return ""
		}
		return c.RemoteAddr().String()
	}
	port := m.remotePort
	if port == "" {
		port = "0"
	}
	return net.JoinHostPort(m.remoteAddr, port)
}

// setPath finds the two parts of the path.
func (f *Front) setPath(m *meta, script bool) error {
	switch {
	case m.hasPathInfo || script:
		f.HasPathInfo = true
		f.ScriptName, f.PathInfo = m.scriptName, m.pathInfo
	case m.documentURI != "":
		f.PathInfo = m.documentURI
	case m.requestURI != "":
		path, err := url.PathUnescape(requestPath(m.requestURI))
		if err != nil {
			return fmt.Errorf("gateway: bad REQUEST_URI %.64q", m.requestURI)
		}
		f.PathInfo = path
	default:
		f.PathInfo = m.scriptName
	}
	if f.ScriptName == "/" { // lighttpd, for an app at the root
		f.ScriptName = ""
		if !strings.HasPrefix(f.PathInfo, "/") {
			f.PathInfo = "/" + f.PathInfo
		}
	}
	if hasControl(f.ScriptName) || hasControl(f.PathInfo) {
		return fmt.Errorf("gateway: control character in the path %.64q", f.ScriptName+f.PathInfo)
	}
	return nil
}

// requestPath is the path of a REQUEST_URI, which may be in absolute form.
func requestPath(uri string) string {
	uri, _, _ = strings.Cut(uri, "?")
	if _, rest, ok := strings.Cut(uri, "://"); ok && !strings.HasPrefix(uri, "/") {
		_, path, _ := strings.Cut(rest, "/")
		return "/" + path
	}
	return uri
}

// setURL makes the URL of a request for the handlers: the decoded path, and the
// original spelling where that says the same.
func (f *Front) setURL(u *url.URL, m *meta) {
	u.Path, u.RawQuery = f.ScriptName+f.PathInfo, m.query
	if m.requestURI == "" {
		return
	}
	raw := requestPath(m.requestURI)
	if raw != u.Path || !spelledOneWay(raw) {
		if path, err := url.PathUnescape(raw); err == nil && path == u.Path {
			u.RawPath = raw
		}
	}
	if !m.hasQuery {
		_, u.RawQuery, _ = strings.Cut(m.requestURI, "?")
	}
	u.ForceQuery = u.RawQuery == "" && strings.HasSuffix(m.requestURI, "?")
}

// spelledOneWay reports whether package url writes a path just so: it would
// make "%21" of "!", which is the same but not what the client wrote.
func spelledOneWay(path string) bool {
	for i := range len(path) {
		switch c := path[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '/', c == '-', c == '_', c == '.', c == '~':
		default:
			return false
		}
	}
	return true
}

// Split returns how a request's path is divided for an app that is mounted at
// mount, "" for the root. A script that was found for the request goes before
// all else (WithScript). A front server that divided the path itself is
// believed unless mount is given. ok is false for a path outside the mount.
func Split(r *http.Request, mount string) (target Target, ok bool) {
	if s := scriptOf(r); s != nil {
		return Target{ScriptName: s.Name, PathInfo: s.Info, ContentLength: -1, Params: s.Params}.withParams(r), true
	}
	if mount == "" {
		if front := FrontOf(r.Context()); front != nil {
			return Target{ScriptName: front.ScriptName, PathInfo: front.PathInfo, ContentLength: -1}.withParams(r), true
		}
	}
	info, ok := strings.CutPrefix(r.URL.Path, mount)
	if !ok || mount != "" && info != "" && info[0] != '/' {
		return Target{}, false
	}
	return Target{ScriptName: mount, PathInfo: info, ContentLength: -1}.withParams(r), true
}

// appendOwn appends what the front server said, without headers, path and
// length. Of a name that comes twice the last value holds.
func (f *Front) appendOwn(params []Param) []Param {
	for i := range f.Params {
		p := &f.Params[i]
		if strings.HasPrefix(p.Name, "HTTP_") || p.Name == "" {
			continue
		}
		switch p.Name {
		case "SCRIPT_NAME", "PATH_INFO", "CONTENT_LENGTH", "CONTENT_TYPE":
			continue
		}
		params = append(params, *p)
	}
	return params
}

// headerName is the canonical name of the header that became HTTP_ and rest;
// false for one that no handler may see, or that is no header's.
func headerName(rest string) (string, bool) {
	if name, ok := headerNames[rest]; ok {
		return name, name != ""
	}
	b := make([]byte, len(rest))
	for i := range len(rest) {
		c := rest[i]
		switch {
		case c == '_':
			c = '-'
		case !token[c]:
			return "", false
		}
		b[i] = c
	}
	if len(b) == 0 {
		return "", false
	}
	name := textproto.CanonicalMIMEHeaderKey(string(b))
	if cgi, ok := wellKnown[name]; ok && !strings.HasPrefix(cgi, "HTTP_") { // "HTTP_proxy"
		return "", false
	}
	return name, true
}

// headerNames is wellKnown the other way round; "" marks what is not passed on.
var headerNames = func() map[string]string {
	names := map[string]string{"HOST": "Host"}
	for header, name := range wellKnown {
		if name == "" {
			if header != "Host" {
				names[strings.ReplaceAll(strings.ToUpper(header), "-", "_")] = ""
			}
			continue
		}
		if rest, ok := strings.CutPrefix(name, "HTTP_"); ok {
			names[rest] = header
		}
	}
	names["CONTENT_TYPE"] = "" // CONTENT_TYPE tells it
	return names
}()
