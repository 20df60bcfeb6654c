package fcgi

// What a program says that it can take.

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"millrace/gateway"
)

// limits are what a program can take.
type limits struct {
	known    bool
	until    time.Time // when to ask again; zero: never
	silent   int       // how often the question was in vain
	keep     bool
	maxConns int // 0: not told, or no limit
	requests int // that share a connection; 1: none do
}

func (l *limits) share() bool { return l.requests > 1 }

const (
	askTimeout = 500 * time.Millisecond // for the answer to GET_VALUES
	askAgain   = 30 * time.Second       // after it did not come; then after twice as long, and so on
	askDoubles = 6
)

// asking is a question that is under way.
type asking struct {
	done chan struct{}
	stop context.CancelFunc
	err  error // the program cannot be reached; set before done is closed
}

// learn finds out what the program can take, if that is not known: one asks,
// the others wait. What was in vain is tried again later, and nobody waits.
func (c *Client) learn(ctx context.Context) error {
	p := &c.pool
	p.mu.Lock()
	for {
		l := &p.limits
		switch {
		case p.closed:
			p.mu.Unlock()
			return errClosed
		case l.known && (l.until.IsZero() || p.asking != nil || time.Now().Before(l.until)):
			p.mu.Unlock()
			return nil
		case c.Reuse != ReuseAuto:
			*l = limits{known: true, keep: c.Reuse == ReuseAlways, requests: 1}
			p.capacity.Store(int64(c.capacityOf(l)) + 1)
		case p.asking != nil:
			a := p.asking
			p.mu.Unlock()
			select {
			case <-a.done:
			case <-ctx.Done():
				return ctx.Err()
			}
			if a.err != nil && !errors.Is(a.err, context.Canceled) && !errors.Is(a.err, context.DeadlineExceeded) {
				return a.err
			}
			p.mu.Lock()
		default:
			later := l.known
			if later {
				ctx = context.Background()
			}
			ctx, cancel := context.WithCancel(ctx)
			a := &asking{done: make(chan struct{}), stop: cancel}
			p.asking = a
			p.open++
			p.mu.Unlock()
			if later {
				go c.ask(ctx, a)
				return nil
			}
			c.ask(ctx, a)
			return a.err
		}
	}
}

// ask asks, on a connection of its own that open already counts. It is not
// used for more: php-fpm may close it, and a process of libfcgi is occupied by
// it.
func (c *Client) ask(ctx context.Context, a *asking) {
	p := &c.pool
	l, err := c.values(ctx)
	a.stop()
	p.mu.Lock()
	if err == nil || p.limits.known {
		if !l.keep && p.limits.known {
			l.silent = p.limits.silent + 1
		}
		if !l.keep {
			l.until = time.Now().Add(askAgain << min(l.silent, askDoubles))
		}
		p.limits = l
		p.capacity.Store(int64(c.capacityOf(&l)) + 1)
	} else {
		a.err = err
	}
	p.asking = nil
	close(a.done)
	p.mu.Unlock()
	p.gone()
}

// values returns what a program tells of itself. Without an answer that is
// nothing, and no error.
func (c *Client) values(ctx context.Context) (limits, error) {
	silent := limits{known: true, requests: 1}
	nc, err := c.connect(ctx)
	if err != nil {
		return silent, err
	}
	defer nc.Close()
	defer gateway.AfterFunc(ctx, func() { nc.Close() })()
	values, err := getValues(nc, min(askTimeout, c.timeout()))
	if err != nil {
		return silent, ctx.Err()
	}
	number := func(name string) int {
		value, _ := gateway.Lookup(values, name)
		n, err := strconv.Atoi(value)
		if err != nil || n < 0 {
			return 0
		}
		return n
	}
	l := limits{known: true, keep: true, maxConns: number(nameMaxConns), requests: 1}
	if number(nameMpxsConns) > 0 {
		l.requests = min(or(c.MaxRequests, defaultMpxRequests), or(number(nameMaxReqs), MaxContent), MaxContent)
	} else if l.maxConns == 1 {
		l.maxConns = 0 // of one process, and there may be many
	}
	return l, nil
}

// getValues asks a program for all three values.
func getValues(nc net.Conn, timeout time.Duration) ([]gateway.Param, error) {
	if err := nc.SetDeadline(time.Now().Add(timeout)); err != nil {
		return nil, err
	}
	b := make([]byte, HeaderLen, 80)
	for _, name := range [...]string{nameMaxConns, nameMaxReqs, nameMpxsConns} {
		b = AppendPair(b, name, "")
	}
	// libfcgi reads on after the last pair before it looks whether the record
	// is at its end, and waits for ever if it finds nothing: hence the padding.
	const padding = 8
	AppendHeader(b[:0], Header{Type: GetValues, Length: len(b) - HeaderLen, Padding: padding})
	if _, err := nc.Write(append(b, make([]byte, padding)...)); err != nil {
		return nil, err
	}
	in := newReader(nc)
	defer in.free()
	h, err := in.next()
	if err != nil {
		return nil, err
	}
	body, err := in.whole(nil)
	if err != nil {
		return nil, err
	}
	if h.Type != GetValuesResult || h.ID != 0 {
		return nil, fmt.Errorf("%w: %v in answer to GET_VALUES", ErrProtocol, h.Type)
	}
	return AppendPairs(nil, body)
}
