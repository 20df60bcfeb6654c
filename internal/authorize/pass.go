package authorize

// A request that passes goes on, with what was said of it.

import (
	"io"
	"net/http"
	"slices"

	"millrace/gateway"
)

// pass has the request go on.
func (a *authorize) pass(w http.ResponseWriter, r *http.Request, v *verdict) {
	if said := v.said; said != nil {
		if len(said.Headers) > 0 {
			next := new(*r)
			next.Header = r.Header.Clone()
			for _, name := range a.Headers {
				if values := said.Headers[name]; values != nil {
					next.Header[name] = slices.Clip(values)
				}
			}
			r = next
		}
		r = gateway.AddParams(r, said.Variables)
		if said.User != "" {
			r = r.WithContext(gateway.WithUser(r.Context(), gateway.User{Name: said.User, Type: said.UserType}))
		}
		if a.Passed != nil {
			r = a.Passed(r, said)
		}
	}
	if len(v.toClient) == 0 {
		a.next.ServeHTTP(w, r)
		return
	}
	out := &adding{ResponseWriter: w, add: v.toClient}
	a.next.ServeHTTP(out, r)
	out.begin() // the server sends the head
}

// adding adds headers to a response when its head leaves.
type adding struct {
	http.ResponseWriter
	add http.Header // nil: they are added
}

// Unwrap is for http.ResponseController.
func (w *adding) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *adding) begin() {
	h := w.Header()
	for name, values := range w.add {
		if name == "Set-Cookie" || h[name] == nil {
			h[name] = append(h[name][:len(h[name]):len(h[name])], values...)
		}
	}
	w.add = nil
}

func (w *adding) WriteHeader(status int) {
	if status >= 200 || status == http.StatusSwitchingProtocols {
		w.begin()
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *adding) Write(b []byte) (int, error) {
	w.begin()
	return w.ResponseWriter.Write(b)
}

// ReadFrom keeps sendfile alive.
func (w *adding) ReadFrom(from io.Reader) (int64, error) {
	w.begin()
	if to, ok := w.ResponseWriter.(io.ReaderFrom); ok {
		return to.ReadFrom(from)
	}
	return io.Copy(onlyWriter{w.ResponseWriter}, from)
}

// FlushError is for http.ResponseController.
func (w *adding) FlushError() error {
	w.begin()
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Flush is for those who look for an http.Flusher.
func (w *adding) Flush() { _ = w.FlushError() }
