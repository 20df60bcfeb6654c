package respond

import "net/http"

// Headers changes the headers of responses, whatever their status: first
// Remove, then Set, then Add; and SetUnlessError and AddUnlessError for those
// that are no errors. One whose placeholders come out empty changes nothing.
type Headers struct {
	Remove []string // canonical
	Set    []Header
	Add    []Header

	SetUnlessError []Header
	AddUnlessError []Header
}

// Wrap puts them around next.
func (c *Headers) Wrap(next http.Handler) http.Handler {
	if len(c.Remove)+len(c.Set)+len(c.Add)+len(c.SetUnlessError)+len(c.AddUnlessError) == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		out := &changed{headers: c, r: r}
		out.ResponseWriter, out.watch = w, out
		next.ServeHTTP(out, r)
		if !out.wrote { // the server sends the head
			out.wrote = true
			c.change(w.Header(), r, http.StatusOK)
		}
	})
}

// changed is the writer of a response whose headers are changed.
type changed struct {
	writer
	headers *Headers
	r       *http.Request
}

func (c *changed) head(status int) int {
	c.headers.change(c.Header(), c.r, status)
	return status
}

func (c *Headers) change(h http.Header, r *http.Request, status int) {
	for _, name := range c.Remove {
		delete(h, name)
	}
	for _, one := range c.Set {
		one.set(h, r)
	}
	for _, one := range c.Add {
		one.add(h, r)
	}
	switch status { // as nginx's add_header has it without "always"
	case 200, 201, 204, 206, 301, 302, 303, 304, 307, 308:
	default:
		return
	}
	for _, one := range c.SetUnlessError {
		one.set(h, r)
	}
	for _, one := range c.AddUnlessError {
		one.add(h, r)
	}
}

func (h *Header) set(to http.Header, r *http.Request) {
	if line, ok := h.line(to, r); ok {
		to[h.Name] = []string{line}
	}
}

func (h *Header) add(to http.Header, r *http.Request) {
	if line, ok := h.line(to, r); ok {
		to[h.Name] = append(to[h.Name], line)
	}
}

// line is the value for a response that has headers; false: it is to have none,
// since its placeholders come out empty.
func (h *Header) line(of http.Header, r *http.Request) (string, bool) {
	if text, ok := h.Value.Constant(); ok {
		return text, true
	}
	line := string(h.Value.AppendLineWith(nil, r, responded(of)))
	return line, line != ""
}

// responded is what texts are given that name headers of the response.
type responded http.Header

// ResponseHeader implements placeholder.Responded.
func (h responded) ResponseHeader() http.Header { return http.Header(h) }

// Line is the value for a request.
func (h *Header) Line(r *http.Request) string {
	if text, ok := h.Value.Constant(); ok {
		return text
	}
	return string(h.Value.AppendLine(nil, r))
}
