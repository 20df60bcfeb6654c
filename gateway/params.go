package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
)

// Target is what is known of a request only after routing.
type Target struct {
	ScriptName    string // SCRIPT_NAME, decoded: "" or "/prefix"
	PathInfo      string // PATH_INFO, decoded
	ContentLength int64  // bytes of the body; negative: the request has none

	// Params are what else routing knows: SCRIPT_FILENAME, DOCUMENT_ROOT. They
	// are written last, over whatever there is of their names.
	Params []Param
}

// ErrDuplicateContentType is returned for a request with two Content-Type
// headers: an app and whoever stands before it may each believe another.
var ErrDuplicateContentType = errors.New("gateway: duplicate Content-Type")

// AppendHTTP appends the parameters of r to params and returns the result.
//
// What a client sends cannot pass for what the server knows:
//   - a header whose name holds anything but letters, digits and hyphens is
//     dropped, so that "Remote_User" cannot stand in for "Remote-User";
//   - Proxy is dropped (its parameter would be HTTP_PROXY, which HTTP clients
//     inside the app obey);
//   - Content-Type and Content-Length take no HTTP_ prefix, and the length is
//     target's, of the body as it was received;
//   - X-Sendfile-Type and X-Accel-* are dropped, by which a front server tells
//     an app which files it may send (CVE-2025-61780);
//   - hop-by-hop framing (Transfer-Encoding, Connection, Keep-Alive, TE,
//     Trailer, Upgrade) ends at the server;
//   - a path that holds a control character once it is decoded is an error
//     (CVE-2019-11043).
//
// Values of a repeated header are joined with ", ", those of Cookie with "; "
// (RFC 9110, section 5.3; RFC 6265, section 5.4).
//
// For a request that came over a gateway protocol (FrontOf), what its front
// server said goes before what can be derived here, REMOTE_USER and whatever
// else it sent included; only headers, the script's name, the path and the
// length are r's and target's.
func AppendHTTP(params []Param, r *http.Request, target Target) ([]Param, error) {
	if hasControl(target.ScriptName) || hasControl(target.PathInfo) {
		return params, fmt.Errorf("gateway: control character in the path %.64q", target.ScriptName+target.PathInfo)
	}
	if front := FrontOf(r.Context()); front != nil {
		params = append(params,
			Param{"SCRIPT_NAME", target.ScriptName},
			Param{"PATH_INFO", target.PathInfo},
		)
		params = front.appendOwn(params)
	} else {
		params = appendOwn(params, r, target)
	}
	if target.ContentLength >= 0 {
		params = append(params, Param{"CONTENT_LENGTH", strconv.FormatInt(target.ContentLength, 10)})
	}
	params, err := appendHeaders(params, r)
	if asked := AskedOf(r.Context()); asked != nil {
		params = asked.append(params)
	}
	for _, p := range target.Params {
		params = Set(params, p.Name, p.Value)
	}
	return params, err
}

// appendOwn appends what the server itself knows of a request.
func appendOwn(params []Param, r *http.Request, target Target) []Param {
	host, port := serverName(r)
	remoteHost, remotePort := splitAddress(r.RemoteAddr)
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	params = append(params,
		Param{"REQUEST_METHOD", r.Method},
		Param{"SCRIPT_NAME", target.ScriptName},
		Param{"PATH_INFO", target.PathInfo},
		Param{"QUERY_STRING", r.URL.RawQuery},
		Param{"REQUEST_URI", r.RequestURI},
		Param{"SERVER_NAME", host},
		Param{"SERVER_PORT", port},
		Param{"SERVER_PROTOCOL", r.Proto},
		Param{"REMOTE_ADDR", remoteHost},
		Param{"REMOTE_PORT", remotePort},
		Param{"REQUEST_SCHEME", scheme},
	)
	if r.TLS != nil {
		params = append(params, Param{"HTTPS", "on"})
	}
	if user := UserOf(r.Context()); user != nil {
		params = append(params, Param{"REMOTE_USER", user.Name})
		if user.Type != "" {
			params = append(params, Param{"AUTH_TYPE", user.Type})
		}
	}
	return params
}

// appendHeaders appends the parameters that are headers.
func appendHeaders(params []Param, r *http.Request) ([]Param, error) {
	if r.Host != "" { // HTTP/1.0 may come without
		params = append(params, Param{"HTTP_HOST", r.Host})
	}
	for name, values := range r.Header {
		if len(values) == 0 {
			continue
		}
		cgi, ok := cgiName(name)
		if !ok {
			continue
		}
		value := values[0]
		switch {
		case cgi == "CONTENT_TYPE" && len(values) > 1:
			return params, ErrDuplicateContentType
		case len(values) > 1 && cgi == "HTTP_COOKIE":
			value = strings.Join(values, "; ")
		case len(values) > 1:
			value = strings.Join(values, ", ")
		}
		params = append(params, Param{cgi, value})
	}
	return params, nil
}

// cgiName returns the parameter's name for a canonical header name; false for
// a header that no app may see.
func cgiName(header string) (string, bool) {
	if name, ok := wellKnown[header]; ok {
		return name, name != ""
	}
	if strings.HasPrefix(header, "X-Accel-") {
		return "", false
	}
	var b strings.Builder
	b.Grow(len("HTTP_") + len(header))
	b.WriteString("HTTP_")
	for i := range len(header) {
		c := header[i]
		switch {
		case 'a' <= c && c <= 'z':
			c -= 'a' - 'A'
		case 'A' <= c && c <= 'Z' || '0' <= c && c <= '9':
		case c == '-':
			c = '_'
		default:
			return "", false
		}
		b.WriteByte(c)
	}
	return b.String(), true
}

// wellKnown spares the common headers the conversion; "" marks those that are
// never passed on.
var wellKnown = map[string]string{
	"Accept":                    "HTTP_ACCEPT",
	"Accept-Charset":            "HTTP_ACCEPT_CHARSET",
	"Accept-Encoding":           "HTTP_ACCEPT_ENCODING",
	"Accept-Language":           "HTTP_ACCEPT_LANGUAGE",
	"Authorization":             "HTTP_AUTHORIZATION",
	"Cache-Control":             "HTTP_CACHE_CONTROL",
	"Content-Type":              "CONTENT_TYPE",
	"Cookie":                    "HTTP_COOKIE",
	"Dnt":                       "HTTP_DNT",
	"If-Match":                  "HTTP_IF_MATCH",
	"If-Modified-Since":         "HTTP_IF_MODIFIED_SINCE",
	"If-None-Match":             "HTTP_IF_NONE_MATCH",
	"If-Range":                  "HTTP_IF_RANGE",
	"Origin":                    "HTTP_ORIGIN",
	"Pragma":                    "HTTP_PRAGMA",
	"Range":                     "HTTP_RANGE",
	"Referer":                   "HTTP_REFERER",
	"Sec-Ch-Ua":                 "HTTP_SEC_CH_UA",
	"Sec-Ch-Ua-Mobile":          "HTTP_SEC_CH_UA_MOBILE",
	"Sec-Ch-Ua-Platform":        "HTTP_SEC_CH_UA_PLATFORM",
	"Sec-Fetch-Dest":            "HTTP_SEC_FETCH_DEST",
	"Sec-Fetch-Mode":            "HTTP_SEC_FETCH_MODE",
	"Sec-Fetch-Site":            "HTTP_SEC_FETCH_SITE",
	"Sec-Fetch-User":            "HTTP_SEC_FETCH_USER",
	"Traceparent":               "HTTP_TRACEPARENT",
	"Tracestate":                "HTTP_TRACESTATE",
	"Upgrade-Insecure-Requests": "HTTP_UPGRADE_INSECURE_REQUESTS",
	"User-Agent":                "HTTP_USER_AGENT",
	"X-Csrftoken":               "HTTP_X_CSRFTOKEN",
	"X-Forwarded-For":           "HTTP_X_FORWARDED_FOR",
	"X-Forwarded-Host":          "HTTP_X_FORWARDED_HOST",
	"X-Forwarded-Proto":         "HTTP_X_FORWARDED_PROTO",
	"X-Real-Ip":                 "HTTP_X_REAL_IP",
	"X-Request-Id":              "HTTP_X_REQUEST_ID",
	"X-Request-Start":           "HTTP_X_REQUEST_START",
	"X-Requested-With":          "HTTP_X_REQUESTED_WITH",

	"Connection":        "",
	"Content-Length":    "", // target's
	"Expect":            "", // answered by the server
	"Host":              "", // net/http moves it to Request.Host
	"Keep-Alive":        "",
	"Proxy":             "",
	"Proxy-Connection":  "",
	"Te":                "",
	"Trailer":           "",
	"Transfer-Encoding": "",
	"Upgrade":           "",
	"X-Sendfile-Type":   "",
}

// serverName returns SERVER_NAME and SERVER_PORT: of the Host header, for
// want of one (HTTP/1.0) of the address that the request came to.
func serverName(r *http.Request) (host, port string) {
	if r.Host != "" {
		host, port = splitAddress(r.Host)
	} else if local := localAddr(r.Context()); local != nil {
		host, port = splitAddress(local.String())
	}
	if host == "" {
		host = "localhost"
	}
	if port == "" {
		port = "80"
		if r.TLS != nil {
			port = "443"
		}
	}
	return host, port
}

func localAddr(ctx context.Context) net.Addr {
	addr, _ := ctx.Value(http.LocalAddrContextKey).(net.Addr)
	return addr
}

// splitAddress parts "host:port", "[v6]:port" or "host" without allocating;
// the brackets go.
func splitAddress(address string) (host, port string) {
	if strings.HasPrefix(address, "[") {
		end := strings.IndexByte(address, ']')
		if end < 0 {
			return address, ""
		}
		return address[1:end], strings.TrimPrefix(address[end+1:], ":")
	}
	if i := strings.LastIndexByte(address, ':'); i >= 0 && strings.IndexByte(address, ':') == i {
		return address[:i], address[i+1:]
	}
	if address == "@" { // a Unix socket without a name
		return "", ""
	}
	return address, ""
}

// FromHTTP makes the request of r for a back end. Its Body is r's, and its
// ContentLength target's; a body whose length r does not tell must have been
// collected before (Handler does it).
func FromHTTP(r *http.Request, target Target) (*Request, error) {
	params, err := AppendHTTP(make([]Param, 0, 24+len(r.Header)), r, target)
	if err != nil {
		return nil, err
	}
	for _, own := range [...]Param{{"GATEWAY_INTERFACE", "CGI/1.1"}, {"SERVER_SOFTWARE", "millrace"}} { // RFC 3875, sections 4.1.4 and 4.1.17
		if _, ok := Lookup(params, own.Name); !ok {
			params = append(params, own)
		}
	}
	req := &Request{Params: params, ContentLength: max(target.ContentLength, 0)}
	if target.ContentLength > 0 {
		req.Body = r.Body
	}
	req.Role = RoleOf(r.Context())
	switch asked, front := AskedOf(r.Context()), FrontOf(r.Context()); {
	case req.Role == Authorizer:
		req.Params = forAuthorizer(req.Params)
	case asked != nil && asked.Data != nil:
		req.Data, req.DataLength = asked.Data(), asked.DataLength
	case asked == nil && front != nil:
		req.Data, req.DataLength = front.Data, front.DataLength
	}
	return req, nil
}
