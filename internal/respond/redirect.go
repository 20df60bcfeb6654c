package respond

import (
	"html"
	"net/http"
	"strings"

	"millrace/internal/placeholder"
)

// Redirect sends clients elsewhere.
type Redirect struct {
	// To is a URL, or a path of the same host. Only if its own first words, or
	// those of a map, name a host, the redirect leads to another one: whatever
	// else comes out is made a path.
	To *placeholder.Text
	// Status is 301, 302, 303, 307 or 308.
	Status int
}

func (d *Redirect) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	to := d.location(r)
	h := w.Header()
	h.Set("Location", to)
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(d.Status)
	if r.Method != http.MethodHead {
		text := `<a href="` + html.EscapeString(to) + `">` + http.StatusText(d.Status) + "</a>\n"
		_, _ = w.Write([]byte(text)) // an error is a client that has left
	}
}

// location is where a client is sent. "//host" and "/\host" are other hosts to
// a browser; a backslash is encoded by now.
func (d *Redirect) location(r *http.Request) string {
	to := string(d.To.AppendURL(nil, r))
	if !d.To.OwnStart() {
		return "/" + strings.TrimLeft(to, "/")
	}
	if host := d.To.Host(); host != "" { // ".evil.example" behind it would be of another one
		before, after, _ := strings.Cut(to, "//"+host)
		if after != "" && strings.IndexByte("/?#", after[0]) < 0 {
			to = before + "//" + host + "/" + after
		}
	}
	return to
}
