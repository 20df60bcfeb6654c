package static

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"syscall"
	"time"
)

// source is where a representation's bytes come from: memory, or an open file.
type source struct {
	memory []byte
	pooled *[]byte // of memory, to be given back; nil: it is not
	handle *handle
}

// answer answers with a file. n, if it is not nil, is the file itself, just
// opened, and is closed. False says that nothing has been answered, as the
// file is not any more what e says; never so when strict is not set, which
// takes what is there as long as it is whole.
func (h *Handler) answer(w http.ResponseWriter, r *http.Request, e *entry, n *node, strict bool) bool {
	rep := e.choose(r.Header)
	if rep != &e.reps[0] && n != nil {
		n.close()
		n = nil
	}
	var spans []span
	if conditional(r.Header) {
		var done bool
		if spans, done = h.condition(w, r, e, rep); done {
			if n != nil {
				n.close()
			}
			return true
		}
	}
	if r.Method == http.MethodHead || rep.identity.size == 0 {
		if n != nil {
			n.close()
		}
		h.head(w.Header(), e, rep)
		rep.offer(w)
		w.Header()["Content-Length"] = rep.length
		w.WriteHeader(http.StatusOK)
		return true
	}
	src, err := h.acquire(e, rep, n, strict)
	if err != nil {
		if errors.Is(err, errChanged) {
			h.cache.remove(e)
			return false
		}
		h.fail(w, r, found{root: rep.root, rel: rep.rel}, err)
		return true
	}
	defer h.release(rep, &src)
	header := w.Header()
	h.head(header, e, rep)
	switch {
	case len(spans) > 1:
		h.sendParts(w, rep, &src, spans)
	case len(spans) == 1:
		header["Content-Range"] = []string{contentRange(spans[0], rep.identity.size)}
		header["Content-Length"] = []string{strconv.FormatInt(spans[0].length, 10)}
		w.WriteHeader(http.StatusPartialContent)
		h.send(w, rep, &src, spans[0])
	case src.handle == nil:
		rep.offer(w)
		header["Content-Length"] = rep.length
		_, _ = w.Write(src.memory) // an error is the client's end: the server sees it, too
	default:
		rep.offer(w)
		header["Content-Length"] = rep.length
		w.WriteHeader(http.StatusOK)
		h.send(w, rep, &src, span{0, rep.identity.size})
	}
	return true
}

// condition evaluates conditions and ranges. It says done when that answered
// the request; else the spans are to be sent, or without any, all.
func (h *Handler) condition(w http.ResponseWriter, r *http.Request, e *entry, rep *representation) (spans []span, done bool) {
	switch status := precondition(r.Header, rep); status {
	case http.StatusNotModified:
		h.validators(w.Header(), e, rep)
		w.WriteHeader(status)
		return nil, true
	case http.StatusPreconditionFailed:
		plain(w, status)
		return nil, true
	}
	// Ranges are defined for GET alone (RFC 9110, 14.2).
	if values, ok := r.Header["Range"]; ok && r.Method == http.MethodGet && ranged(r.Header, rep, time.Now()) {
		var satisfiable bool
		if spans, satisfiable = parseRange(values, rep.identity.size); !satisfiable {
			w.Header()["Content-Range"] = []string{"bytes */" + rep.length[0]}
			plain(w, http.StatusRequestedRangeNotSatisfiable)
			return nil, true
		}
		if len(spans) > 1 && rep.encoding != nil { // the parts would not decode by themselves
			spans = nil
		}
	}
	return spans, false
}

// acquire gets hold of a representation's bytes, so that what the headers
// promise can be kept.
func (h *Handler) acquire(e *entry, rep *representation, n *node, strict bool) (source, error) {
	if b := rep.body.Load(); b != nil {
		if n != nil {
			n.close()
		}
		return source{memory: *b}, nil
	}
	if rep.identity.size > smallFile {
		handle, err := h.openFile(rep, n)
		return source{handle: handle}, err
	}
	if n == nil {
		fresh, err := reopen(rep)
		if err != nil {
			return source{}, err
		}
		n = &fresh
	}
	defer n.close()
	size := int(rep.identity.size)
	var src source
	keep := h.cache.keeps(rep.identity.size) && rep.asked.Swap(true)
	if keep {
		src.memory = make([]byte, size)
	} else {
		var ok bool
		if src.pooled, ok = h.small.Get().(*[]byte); !ok {
			b := make([]byte, smallFile)
			src.pooled = &b
		}
		src.memory = (*src.pooled)[:size]
	}
	err := readWhole(n, rep, src.memory, strict)
	if err != nil {
		h.release(rep, &src)
		return source{}, err
	}
	if keep {
		h.cache.keep(e, rep, src.memory)
	}
	return src, nil
}

// readWhole reads a small file. A strict one has not changed meanwhile, so
// that no half of one state is joined with another's.
func readWhole(n *node, rep *representation, b []byte, strict bool) error {
	got, err := n.readStart(b)
	switch {
	case err != nil:
		return err
	case strict:
		if m, err := n.stat(); err != nil || m.identity != rep.identity {
			return errChanged
		}
	}
	if got < len(b) {
		return errors.New("the file shrank while it was read")
	}
	return nil
}

// openFile opens a large file, or takes an open one. It is what rep says just now.
func (h *Handler) openFile(rep *representation, n *node) (*handle, error) {
	if n != nil {
		return newHandle(n, rep.rel), nil
	}
	if handle := h.cache.files.take(rep); handle != nil {
		if !handle.same(rep.identity) {
			handle.close()
			return nil, errChanged
		}
		return handle, nil
	}
	fresh, err := reopen(rep)
	if err != nil {
		return nil, err
	}
	return newHandle(&fresh, rep.rel), nil
}

// reopen opens a representation's file anew. What keeps it from that is for
// who looks the name up again to find.
func reopen(rep *representation) (node, error) {
	n, err := rep.root.open(rep.rel)
	if err != nil {
		return node{}, errChanged
	}
	if m, err := n.stat(); err != nil || m.identity != rep.identity || !m.mode.IsRegular() {
		n.close()
		return node{}, errChanged
	}
	return n, nil
}

// release gives back what acquire got hold of.
func (h *Handler) release(rep *representation, src *source) {
	if src.pooled != nil {
		h.small.Put(src.pooled)
	}
	if src.handle != nil {
		h.cache.files.put(rep, src.handle)
	}
}

// send writes a part of a body. When the file turns out to be shorter than was
// promised, or the disk fails, the connection is cut: the client must not take
// a half for the whole.
func (h *Handler) send(w io.Writer, rep *representation, src *source, s span) {
	if src.handle == nil {
		_, _ = w.Write(src.memory[s.start:][:s.length]) // an error is the client's end
		return
	}
	err := src.handle.span(s.start, s.length)
	var sent int64
	if err == nil {
		sent, err = io.Copy(w, &src.handle.part)
		if err == nil && sent == s.length {
			return
		}
		if err != nil && !errors.Is(err, syscall.EIO) {
			return // the client's end
		}
	}
	h.o.Log.Error("a response was cut short: the file shrank or the disk failed",
		"root", rep.root.dir, "name", rep.rel, "size", rep.identity.size, "sent", sent, "err", err)
	panic(http.ErrAbortHandler)
}

func contentRange(s span, size int64) string {
	return fmt.Sprintf("bytes %d-%d/%d", s.start, s.start+s.length-1, size)
}

// sendParts answers with multipart/byteranges (RFC 9110, 14.6).
func (h *Handler) sendParts(w http.ResponseWriter, rep *representation, src *source, spans []span) {
	boundary := rand.Text()
	heads := make([]string, len(spans))
	end := "\r\n--" + boundary + "--\r\n"
	length := int64(len(end))
	for i, s := range spans {
		kind := ""
		if rep.contentType != nil {
			kind = "\r\nContent-Type: " + rep.contentType[0]
		}
		heads[i] = fmt.Sprintf("\r\n--%s%s\r\nContent-Range: %s\r\n\r\n", boundary, kind, contentRange(s, rep.identity.size))
		if i == 0 {
			heads[i] = heads[i][2:]
		}
		length += int64(len(heads[i])) + s.length
	}
	header := w.Header()
	header["Content-Type"] = []string{"multipart/byteranges; boundary=" + boundary}
	header["Content-Length"] = []string{strconv.FormatInt(length, 10)}
	w.WriteHeader(http.StatusPartialContent)
	for i, s := range spans {
		if _, err := io.WriteString(w, heads[i]); err != nil {
			return
		}
		h.send(w, rep, src, s)
	}
	_, _ = io.WriteString(w, end) // an error is the client's end
}
