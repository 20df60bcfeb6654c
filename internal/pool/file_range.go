package pool

// A part of a file that the app hands over whole: browsers ask for one to
// seek in a film, or to go on with a download, and Python's frameworks answer
// with all of it.

import (
	"io"
	"net/http"
	"strings"
	"time"
)

// maxRanges is how many ranges a request may ask for; beyond it they are
// ignored (RFC 9110, 14.2), as each costs a part with headers of its own.
const maxRanges = 32

// wantsPart reports whether a response that is a whole file may be answered
// with a part of it, or with nothing but that the client has it. Conditions are
// evaluated by what the app says of the file; one that answers them itself has
// done so.
func wantsPart(r *http.Request, h http.Header, res responseHead, size int64) bool {
	if r.Method != http.MethodGet || res.status != http.StatusOK || res.length >= 0 && res.length != size {
		return false
	}
	for _, name := range [...]string{"Content-Range", "Content-Encoding", "Transfer-Encoding"} {
		if _, ok := h[name]; ok {
			return false
		}
	}
	if strings.EqualFold(h.Get("Accept-Ranges"), "none") {
		return false
	}
	if ranges, ok := r.Header["Range"]; ok {
		return len(ranges) == 1 && strings.Count(ranges[0], ",") < maxRanges
	}
	_, tagged := h["Etag"]
	_, dated := h["Last-Modified"]
	_, ifNoneMatch := r.Header["If-None-Match"]
	_, ifModified := r.Header["If-Modified-Since"]
	return ifNoneMatch && tagged || ifModified && dated && !ifNoneMatch
}

// servePart answers with what the client wants of the file.
func (b *fileBody) servePart(w http.ResponseWriter, r *http.Request) error {
	content, err := b.seeker()
	if err != nil {
		return err
	}
	h := w.Header()
	delete(h, "Content-Length")
	modified, err := http.ParseTime(h.Get("Last-Modified"))
	if err != nil {
		modified = time.Time{} // not known: the file's own time is none of the app's words
	}
	http.ServeContent(w, r, "", modified, content)
	return nil
}

// seeker is the body from its start to its end, and where it is a whole file
// with an offset of its own, that file: sendfile takes it.
func (b *fileBody) seeker() (io.ReadSeeker, error) {
	info, err := b.file.Stat()
	if err != nil {
		return nil, err
	}
	if !b.shared && b.offset == 0 && info.Size() == b.size {
		return b.file, nil
	}
	return io.NewSectionReader(b.file, b.offset, b.size), nil
}
