package main

// This file is what request and bench send: their common flags, and the
// request that these make.

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"millrace/gateway"
)

// outgoing are the flags.
type outgoing struct {
	method   string
	headers  []string
	data     []string
	upload   string
	head     bool
	params   []string
	noParams []string
	role     string
	file     string
	secret   string
	insecure bool

	timeout, connectTimeout time.Duration
}

// register adds the flags to a command's.
func (o *outgoing) register(flags *pflag.FlagSet) {
	flags.StringVarP(&o.method, "method", "X", "", "the request's `METHOD` (default GET, or POST with -d)")
	flags.StringArrayVarP(&o.headers, "header", "H", nil, "send a header, `NAME:VALUE`; without a value: do not send it; may be repeated")
	flags.StringArrayVarP(&o.data, "data", "d", nil, "send a body, `TEXT` or @FILE, @- for stdin, as it is; the method is POST")
	flags.StringArrayVarP(&o.params, "param", "P", nil, "send a parameter, `NAME=VALUE`, in place of what the URL and the headers make of it; may be repeated")
	flags.StringArrayVar(&o.noParams, "no-param", nil, "do not send the parameter `NAME`; may be repeated")
	flags.StringVar(&o.secret, "secret", "", "AJP: the `SECRET` that the back end asks for")
	flags.BoolVarP(&o.insecure, "insecure", "k", false, "https: take any certificate")
	flags.DurationVar(&o.timeout, "timeout", gateway.DefaultTimeout, "give up when the back end is silent for this `TIME`")
	flags.DurationVar(&o.connectTimeout, "connect-timeout", gateway.DefaultConnectTimeout, "give up when no connection is there after this `TIME`")
}

// registerSingle adds those that only a single request has.
func (o *outgoing) registerSingle(flags *pflag.FlagSet) {
	flags.StringVarP(&o.upload, "upload", "T", "", "send `FILE` as the body, - for stdin; the method is PUT")
	flags.BoolVarP(&o.head, "head", "I", false, "ask for the head alone: the method is HEAD; implies -i")
	flags.StringVar(&o.role, "role", "", "FastCGI: ask for this `ROLE`: responder, authorizer or filter (default responder)")
	flags.StringVar(&o.file, "file", "", "FastCGI: the `FILE` that a filter works on")
}

// message is a request as it is sent, over any protocol.
type message struct {
	http *http.Request    // its Body is not set
	cgi  *gateway.Request // its Body and Data are not set; nil for HTTP
	body *payload         // nil: none
	data *payload         // of a filter
}

// payload is a body that can be read again.
type payload struct {
	io.ReaderAt
	size int64
	file *os.File // nil: in memory
}

func (p *payload) reader() io.Reader { return io.NewSectionReader(p, 0, p.size) }

func (p *payload) close() {
	if p != nil && p.file != nil {
		_ = p.file.Close() // it was only read
	}
}

func (m *message) close() {
	m.body.close()
	m.data.close()
}

// message makes the request for an endpoint. Whoever calls it closes it.
func (o *outgoing) message(e *endpoint, stdin io.Reader) (_ *message, err error) {
	m := &message{}
	defer func() {
		if err != nil {
			m.close()
		}
	}()
	if err := o.check(e); err != nil {
		return nil, err
	}
	if err := o.openBody(m, stdin); err != nil {
		return nil, err
	}
	if m.http, err = o.httpRequest(e, m.body); err != nil {
		return nil, err
	}
	if e.protocol == protoHTTP {
		return m, nil
	}
	length := int64(-1)
	if m.body != nil {
		length = m.body.size
	}
	if m.cgi, err = gateway.FromHTTP(m.http, gateway.Target{PathInfo: m.http.URL.Path, ContentLength: length}); err != nil {
		return nil, err
	}
	if err := o.setRole(m); err != nil {
		return nil, err
	}
	return m, o.completeParams(m)
}

// check refuses flags that say nothing to the endpoint's protocol, and values
// that are none.
func (o *outgoing) check(e *endpoint) error {
	only := func(flag, protocol string) error {
		return &usageError{fmt.Sprintf("%s is for %s, and the URL is one of %s", flag, protocol, e.protocol), "leave it out, or ask by another protocol"}
	}
	switch {
	case len(o.params) > 0 && e.protocol == protoHTTP:
		return only("-P", "gateway protocols")
	case len(o.noParams) > 0 && e.protocol == protoHTTP:
		return only("--no-param", "gateway protocols")
	case o.secret != "" && e.protocol != protoAJP:
		return only("--secret", "AJP")
	case (o.role != "" || o.file != "") && e.protocol != protoFastCGI:
		return only("--role", "FastCGI")
	case o.insecure && !e.tls:
		return only("-k", "https")
	case len(o.data) > 1:
		return &usageError{"-d is given twice", "a request has one body: join them"}
	case len(o.data) > 0 && o.upload != "":
		return &usageError{"-d and -T are both given", "a request has one body: give one of them"}
	case o.head && (o.method != "" || o.hasBody()):
		return &usageError{"-I asks for the head alone", "leave out -X, -d and -T; -i shows the head of any response"}
	case o.timeout <= 0:
		return &usageError{fmt.Sprintf("--timeout %v is no time to wait", o.timeout), "as --timeout 10s"}
	case o.connectTimeout <= 0:
		return &usageError{fmt.Sprintf("--connect-timeout %v is no time to wait", o.connectTimeout), "as --connect-timeout 2s"}
	}
	return nil
}

func (o *outgoing) hasBody() bool { return len(o.data) > 0 || o.upload != "" }

// openBody opens what -d or -T name.
func (o *outgoing) openBody(m *message, stdin io.Reader) (err error) {
	switch {
	case o.upload != "":
		m.body, err = openPayload(o.upload, stdin)
	case len(o.data) == 0:
	default:
		name, isFile := strings.CutPrefix(o.data[0], "@")
		if !isFile {
			m.body = &payload{ReaderAt: strings.NewReader(o.data[0]), size: int64(len(o.data[0]))}
			return nil
		}
		m.body, err = openPayload(name, stdin)
	}
	return err
}

// openPayload opens a file, "-" is stdin. What has no size of its own is
// copied to a nameless file first: every gateway protocol announces the length.
func openPayload(name string, stdin io.Reader) (*payload, error) {
	f, isFile := stdin.(*os.File)
	if name != "-" {
		var err error
		if f, err = os.Open(name); err != nil {
			return nil, &usageError{fmt.Sprintf("cannot open %s: %v", name, cause(err)), "name a file that can be read, or - for stdin"}
		}
		isFile, stdin = true, f
	}
	if isFile {
		info, err := f.Stat()
		if err == nil && info.IsDir() {
			err = &usageError{name + " is a folder", "name a file"}
		}
		if at, seekErr := f.Seek(0, io.SeekCurrent); err == nil && info.Mode().IsRegular() && at == 0 && seekErr == nil {
			return &payload{f, info.Size(), f}, nil
		}
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		if name != "-" {
			defer f.Close()
		}
	}
	spool, err := os.CreateTemp("", "millrace-request-*")
	if err != nil {
		return nil, err
	}
	_ = os.Remove(spool.Name()) // where a name cannot go before the file, the system's cleaning takes it
	size, err := io.Copy(spool, stdin)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("cannot read the body from %s: %w", name, err), spool.Close())
	}
	return &payload{spool, size, spool}, nil
}

// httpRequest is the request as HTTP has it.
func (o *outgoing) httpRequest(e *endpoint, body *payload) (*http.Request, error) {
	r := &http.Request{
		Method:     http.MethodGet,
		URL:        &url.URL{Scheme: "http", Host: e.host, Path: e.url.Path, RawPath: e.url.RawPath, RawQuery: e.url.RawQuery, ForceQuery: e.url.ForceQuery},
		Host:       e.host,
		RequestURI: e.url.RequestURI(),
		Proto:      "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		RemoteAddr: "127.0.0.1:0",
		Header:     http.Header{"User-Agent": {"millrace/" + version}, "Accept": {"*/*"}},
	}
	switch {
	case o.head:
		r.Method = http.MethodHead
	case o.method != "":
		r.Method = o.method
	case o.upload != "":
		r.Method = http.MethodPut
	case len(o.data) > 0:
		r.Method = http.MethodPost
	}
	if name, keep, err := gateway.AppHeader(r.Method, ""); name == "" || !keep || err != nil {
		return nil, &usageError{fmt.Sprintf("-X %q is no method", r.Method), "as -X DELETE"}
	}
	if body != nil {
		r.ContentLength = body.size
		r.Header.Set("Content-Type", "application/octet-stream")
		if len(o.data) > 0 {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
	}
	given := map[string]bool{}
	for _, h := range o.headers {
		if err := setHeader(r, h, given); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// setHeader takes one -H. The first of a name replaces what would be sent
// anyway.
func setHeader(r *http.Request, line string, given map[string]bool) error {
	name, value, ok := strings.Cut(line, ":")
	value = strings.Trim(value, " \t")
	if !ok {
		return &usageError{fmt.Sprintf("-H %q has no colon", line), "as -H 'Accept: text/html'"}
	}
	canonical, _, err := gateway.AppHeader(name, value)
	switch {
	case err != nil:
		return &usageError{fmt.Sprintf("-H %q is no header: %s", line, strings.TrimPrefix(err.Error(), "gateway: ")), "as -H 'Accept: text/html'"}
	case canonical == "Content-Length", canonical == "Transfer-Encoding", canonical == "Trailer":
		return &usageError{fmt.Sprintf("-H %q: the body's framing is not yours to say", line), "it follows from -d or -T"}
	case canonical == "Host":
		r.Host = value
		return nil
	}
	if !given[canonical] {
		delete(r.Header, canonical)
		given[canonical] = true
	}
	if value != "" {
		r.Header[canonical] = append(r.Header[canonical], value)
	}
	return nil
}

// completeParams makes the parameters what -P, --no-param and the protocol
// want. They are in an order that is the same each time.
func (o *outgoing) completeParams(m *message) error {
	params := gateway.Set(m.cgi.Params, "SERVER_SOFTWARE", "millrace/"+version)
	slices.SortStableFunc(params, func(a, b gateway.Param) int {
		if ha, hb := isHeaderParam(a.Name), isHeaderParam(b.Name); ha != hb || !ha {
			return boolInt(ha) - boolInt(hb)
		}
		return strings.Compare(a.Name, b.Name)
	})
	for name := range m.http.Header {
		param := "HTTP_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
		if name == "Content-Type" {
			param = "CONTENT_TYPE"
		}
		if _, ok := gateway.Lookup(params, param); !ok || strings.Contains(name, "_") {
			return &usageError{fmt.Sprintf("no server passes the header %s on to an app", name), fmt.Sprintf("to send it all the same: -P '%s=…'", param)}
		}
	}
	if named(o.params, "SCRIPT_FILENAME") && !named(o.params, "PATH_INFO") && !named(o.params, "SCRIPT_NAME") {
		// A script is named: the path is its own, as in nginx's fastcgi_params.
		params = gateway.Set(params, "SCRIPT_NAME", m.http.URL.Path)
		params = without(params, "PATH_INFO")
	}
	for _, p := range o.params {
		name, value, ok := strings.Cut(p, "=")
		switch {
		case !ok || name == "":
			return &usageError{fmt.Sprintf("-P %q is no NAME=VALUE", p), "as -P SCRIPT_FILENAME=/srv/index.php; --no-param NAME leaves one out"}
		case strings.IndexByte(p, 0) >= 0:
			return &usageError{fmt.Sprintf("-P %q has a NUL", p), "no protocol can send it"}
		case name == "CONTENT_LENGTH":
			return &usageError{"-P CONTENT_LENGTH: the body's length is not yours to say", "it follows from -d or -T"}
		}
		params = gateway.Set(params, name, value)
	}
	for _, name := range o.noParams {
		if _, ok := gateway.Lookup(params, name); !ok {
			return &usageError{fmt.Sprintf("--no-param %s: no such parameter would be sent", name), "millrace request -v shows those that are"}
		}
		params = without(params, name)
	}
	m.cgi.Params = params
	return nil
}

func isHeaderParam(name string) bool {
	return strings.HasPrefix(name, "HTTP_") || name == "CONTENT_TYPE"
}

func boolInt(v bool) int {
	if v {
		return 1
	}
	return 0
}

// named reports whether one of the NAME=VALUE has the name.
func named(pairs []string, name string) bool {
	return slices.ContainsFunc(pairs, func(p string) bool { return strings.HasPrefix(p, name+"=") })
}

func without(params []gateway.Param, name string) []gateway.Param {
	return slices.DeleteFunc(params, func(p gateway.Param) bool { return p.Name == name })
}

// setRole takes --role and --file.
func (o *outgoing) setRole(m *message) error {
	switch strings.ToLower(o.role) {
	case "", "responder":
	case "authorizer":
		m.cgi.Role = gateway.Authorizer
	case "filter":
		m.cgi.Role = gateway.Filter
	default:
		return &usageError{fmt.Sprintf("--role %q is unknown", o.role), "want responder, authorizer or filter"}
	}
	filter := m.cgi.Role == gateway.Filter
	switch {
	case filter && o.file == "":
		return &usageError{"a filter needs something to work on", "name it: --file FILE"}
	case !filter && o.file != "":
		return &usageError{"--file is for a filter", "add --role filter; a body is sent by -d or -T"}
	case m.cgi.Role == gateway.Authorizer && o.hasBody():
		return &usageError{"an authorizer gets no body", "leave out -d and -T"}
	case !filter:
		return nil
	}
	info, err := os.Stat(o.file)
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is no file with a size")
	}
	if err == nil {
		m.data, err = openPayload(o.file, nil)
	}
	if err != nil {
		return &usageError{fmt.Sprintf("cannot open %s: %v", o.file, cause(err)), "name a file that can be read"}
	}
	m.cgi.DataLength = m.data.size
	m.cgi.Params = append(m.cgi.Params,
		gateway.Param{Name: "FCGI_DATA_LENGTH", Value: strconv.FormatInt(m.data.size, 10)},
		gateway.Param{Name: "FCGI_DATA_LAST_MOD", Value: strconv.FormatInt(info.ModTime().Unix(), 10)})
	return nil
}
