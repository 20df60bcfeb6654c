package fcgi

// Responses that are here as a whole when their head is: a program that answers
// with a page writes it, and END_REQUEST, at once.

// Whole returns the rest of the body if nothing has to be waited for: all of it,
// the proper end of the response, and nothing behind that have been read. Then
// the connection is free for another request, and the body is the caller's.
// Otherwise it does nothing.
func (x *exchange) Whole() (body []byte, ok bool) {
	if x.over.Load() || x.err != nil || x.drop || x.left >= 0 && x.left != int64(len(x.pending)) || !x.s.in.endsWith(singleID) {
		return nil, false
	}
	body = append(make([]byte, 0, len(x.pending)), x.pending...) // the buffer is the next request's
	x.pending, x.left = nil, -1
	_, err := x.next()
	x.finish(err)
	return body, err == errEnd
}

// endsWith reports whether all that has been read and not used is the end of a
// request, and that is whole.
func (r *reader) endsWith(id uint16) bool {
	b := r.buf[r.r:r.w]
	if r.left > 0 || len(b) < r.pad {
		return false
	}
	for b = b[r.pad:]; len(b) >= HeaderLen; {
		h, err := ParseHeader(b)
		b = b[HeaderLen:]
		if err != nil || h.ID != id || len(b) < h.Length+h.Padding {
			return false
		}
		switch {
		case h.Type == EndRequest:
			e, err := parseEnd(b[:h.Length])
			return err == nil && e.status == RequestComplete && len(b) == h.Length+h.Padding
		case h.Type == Stdout && h.Length == 0: // the stream's end, which some programs send
			b = b[h.Padding:]
		default:
			return false
		}
	}
	return false
}
