package ajp

import (
	"context"
	"errors"
	"fmt"

	"millrace/gateway"
)

// Check asks the back end by CPING whether it serves, on a connection of its
// own, which MaxConns does not count. It returns why the back end cannot be
// used, nil if it can. The time that there is for the answer is ctx's, or
// ConnectTimeout and Timeout.
func (c *Client) Check(ctx context.Context) error {
	s, err := c.dial(ctx)
	if err != nil {
		return c.wrap(err)
	}
	defer s.forget()
	defer gateway.AfterFunc(ctx, func() { s.nc.Close() })()
	err = s.pong(s.timeout())
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		err = fmt.Errorf("no answer to CPING: %w", context.Cause(ctx))
	case isTimeout(err):
		err = fmt.Errorf("no answer to CPING: %w", gateway.ErrTimeout)
	}
	return c.wrap(err)
}

var errNoPong = errors.New("what came in answer to CPING is no CPONG")
