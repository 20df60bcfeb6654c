package gateway

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"
)

// DefaultConnectTimeout and DefaultTimeout are the clients' when they are not
// told otherwise: to open a connection, and without a byte from the back end.
const (
	DefaultConnectTimeout = 10 * time.Second
	DefaultTimeout        = 60 * time.Second
)

// Dial opens a connection to a back end at "host:port" or "unix:/path", within
// timeout (0: DefaultConnectTimeout). Its error wraps ErrUnreachable.
func Dial(ctx context.Context, address string, timeout time.Duration) (net.Conn, error) {
	if timeout == 0 {
		timeout = DefaultConnectTimeout
	}
	network := "tcp"
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		network, address = "unix", path
	}
	d := net.Dialer{Timeout: timeout}
	c, err := d.DialContext(ctx, network, address)
	if err != nil {
		if deadline, ok := ctx.Deadline(); ok && ctx.Err() == nil && !time.Now().Before(deadline) {
			err = fmt.Errorf("%w: %w", context.DeadlineExceeded, err) // the poller's clock was the first to say so
		}
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	return c, nil
}
