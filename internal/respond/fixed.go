package respond

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"millrace/internal/placeholder"
)

// Header is one header of a response.
type Header struct {
	Name  string // canonical
	Value *placeholder.Text
}

// Fixed is a response that its configuration has.
type Fixed struct {
	Status  int
	Body    *placeholder.Text // nil: empty, or for a status from 400 on its name
	Type    string            // of Body
	Headers []Header
}

func (f *Fixed) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	for _, one := range f.Headers {
		h[one.Name] = append(h[one.Name], string(one.Value.AppendLine(nil, r)))
	}
	var body []byte
	switch {
	case f.Body != nil:
		Final(w)
		body = f.Body.Append(nil, r)
	case f.Status >= 400:
		body = fmt.Appendf(nil, "%d %s\n", f.Status, strings.ToLower(http.StatusText(f.Status)))
	}
	if f.Status == http.StatusNoContent || f.Status == http.StatusNotModified {
		w.WriteHeader(f.Status)
		return
	}
	if len(body) > 0 && h["Content-Type"] == nil {
		h.Set("Content-Type", f.Type)
		h.Set("X-Content-Type-Options", "nosniff")
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(f.Status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // an error is a client that has left
	}
}
