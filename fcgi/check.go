package fcgi

import (
	"context"
	"fmt"

	"millrace/gateway"
)

// Check asks the program by FCGI_GET_VALUES whether it serves, on a connection
// of its own, which MaxConns does not count. It returns why the program cannot
// be used, nil if it can. The time that there is for the answer is ctx's, or
// ConnectTimeout and Timeout.
//
// Not every program answers: the specification leaves it no choice (section
// 4.1), php-fpm and those of libfcgi do, some of other libraries hang up. And
// one whose processes are all occupied answers as late as it would a request.
func (c *Client) Check(ctx context.Context) error {
	nc, err := c.connect(ctx)
	if err != nil {
		return fmt.Errorf("fcgi: %s: %w", c.Address, err)
	}
	defer nc.Close()
	defer gateway.AfterFunc(ctx, func() { nc.Close() })()
	if _, err := getValues(nc, c.timeout()); err != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("no answer to FCGI_GET_VALUES: %w", context.Cause(ctx))
		}
		return fmt.Errorf("fcgi: %s: %w", c.Address, err)
	}
	return nil
}

// Capacity is how many requests the program takes at a time, as far as is
// known; 0: any number. A request beyond waits in RoundTrip. It costs next to
// nothing to ask.
func (c *Client) Capacity() int {
	if n := c.pool.capacity.Load(); n > 0 {
		return int(n - 1)
	}
	return c.MaxConns
}

// capacityOf is the capacity of a program that has said what it can take.
func (c *Client) capacityOf(l *limits) int {
	conns := c.MaxConns
	if conns <= 0 {
		conns = l.maxConns
	}
	return max(conns, 0) * max(l.requests, 1)
}
