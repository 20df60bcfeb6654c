package sendfile

import (
	"context"
	"io"
	"net/http"
	"time"
)

// pacer writes no faster than so many bytes a second.
type pacer struct {
	w     http.ResponseWriter
	ctx   context.Context
	rate  int64
	start time.Time
	sent  int64
}

var _ io.ReaderFrom = (*pacer)(nil)

func (p *pacer) Unwrap() http.ResponseWriter { return p.w }
func (p *pacer) Header() http.Header         { return p.w.Header() }
func (p *pacer) WriteHeader(status int)      { p.w.WriteHeader(status) }

// piece is how much goes out at once: an eighth of a second's share.
func (p *pacer) piece() int64 { return min(max(p.rate/8, 1), 1<<20) }

// wait waits until n more bytes may go.
func (p *pacer) wait(n int64) error {
	p.sent += n
	due := p.start.Add(time.Duration(float64(p.sent-n) / float64(p.rate) * float64(time.Second)))
	left := time.Until(due)
	if left <= 0 {
		return nil
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-p.ctx.Done():
		return p.ctx.Err()
	}
}

func (p *pacer) Write(b []byte) (int, error) {
	done := 0
	for done < len(b) {
		n := min(int(p.piece()), len(b)-done)
		if err := p.wait(int64(n)); err != nil {
			return done, err
		}
		wrote, err := p.w.Write(b[done : done+n])
		done += wrote
		if err != nil {
			return done, err
		}
		if err := http.NewResponseController(p.w).Flush(); err != nil {
			return done, err
		}
	}
	return done, nil
}

// ReadFrom passes on pieces of src in a shape that sendfile takes.
func (p *pacer) ReadFrom(src io.Reader) (int64, error) {
	to, ok := p.w.(io.ReaderFrom)
	whole, limited := src.(*io.LimitedReader)
	if !ok || !limited {
		return io.Copy(struct{ io.Writer }{p}, src)
	}
	var total int64
	for whole.N > 0 {
		n := min(p.piece(), whole.N)
		if err := p.wait(n); err != nil {
			return total, err
		}
		part := &io.LimitedReader{R: whole.R, N: n}
		sent, err := to.ReadFrom(part)
		total += sent
		whole.N -= sent
		if err != nil {
			return total, err
		}
		if sent < n { // the file ends here
			return total, nil
		}
	}
	return total, nil
}
