package admin

// This file: the commands' side of the control socket.

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"syscall"
	"time"
)

// ErrNotRunning says that nobody listens on the control socket.
var ErrNotRunning = errors.New("no millrace is running")

const (
	maxAnswer   = 16 << 20        // bytes of an answer
	dialTimeout = 5 * time.Second // to connect
)

// Client asks a running server. Close it after use.
type Client struct {
	socket string
	http   *http.Client
}

// Dial makes sure that somebody listens on the control socket. The error is
// ErrNotRunning, wrapped, if not.
func Dial(socket string) (*Client, error) {
	dialer := &net.Dialer{Timeout: dialTimeout}
	c, err := dialer.Dial("unix", socket)
	switch {
	case err == nil:
		c.Close()
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return nil, fmt.Errorf("%w here: nobody listens on %s", ErrNotRunning, socket)
	default:
		return nil, fmt.Errorf("cannot connect to %s: %w", socket, cause(err))
	}
	return &Client{socket: socket, http: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", socket)
		},
	}}}, nil
}

func cause(err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return err
}

// Close gives the connection back.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Status returns the server's status as it sent it.
func (c *Client) Status(ctx context.Context) (json.RawMessage, error) {
	return c.do(ctx, http.MethodGet, "status")
}

// PID returns the server's process id.
func (c *Client) PID(ctx context.Context) (int, error) {
	body, err := c.Status(ctx)
	if err != nil {
		return 0, err
	}
	var s struct {
		PID int `json:"pid"`
	}
	if err := json.Unmarshal(body, &s); err != nil {
		return 0, c.garbled(err)
	}
	return s.PID, nil
}

// Reload returns when the new generation serves. The error is a *Failure if
// the server could not.
func (c *Client) Reload(ctx context.Context) (notes []string, err error) {
	var r reply
	err = c.ask(ctx, "reload", nil, &r)
	return r.Notes, err
}

// Upgrade returns when the next program serves. The error is a *Failure if it
// does not.
func (c *Client) Upgrade(ctx context.Context) error {
	_, err := c.do(ctx, http.MethodPost, "upgrade")
	return err
}

// Maintain switches maintenance on or off. The error is a *Failure if the
// server could not.
func (c *Client) Maintain(ctx context.Context, m Maintenance) (notes []string, err error) {
	var r reply
	err = c.ask(ctx, "maintenance", m, &r)
	return r.Notes, err
}

// Purge removes cached responses, and returns how many.
func (c *Client) Purge(ctx context.Context, p Purge) (int, error) {
	var r purged
	err := c.ask(ctx, "purge", p, &r)
	return r.Purged, err
}

// Stop returns when the server has stopped.
func (c *Client) Stop(ctx context.Context) error {
	_, err := c.do(ctx, http.MethodPost, "stop")
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
		return nil // it is gone: stopped at once by somebody else
	}
	return err
}

// ask has the server do something, and reads what it replies. asked may be nil.
func (c *Client) ask(ctx context.Context, path string, asked, reply any) error {
	var sent io.Reader
	if asked != nil {
		b, err := json.Marshal(asked)
		if err != nil {
			return err
		}
		sent = bytes.NewReader(b)
	}
	body, err := c.send(ctx, http.MethodPost, path, sent)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, reply); err != nil {
		return c.garbled(err)
	}
	return nil
}

func (c *Client) do(ctx context.Context, method, path string) ([]byte, error) {
	return c.send(ctx, method, path, nil)
}

func (c *Client) send(ctx context.Context, method, path string, asked io.Reader) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://millrace/"+path, asked)
	if err != nil {
		return nil, err
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("no answer from %s: %w", c.socket, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("no answer from %s: %w", c.socket, err)
	case len(body) > maxAnswer:
		return nil, c.garbled(errors.New("it is too long"))
	case res.StatusCode == http.StatusOK:
		return body, nil
	}
	f := new(Failure)
	if err := json.Unmarshal(body, f); err != nil || f.Problem == "" {
		return nil, c.garbled(errors.New(res.Status))
	}
	return nil, f
}

func (c *Client) garbled(err error) error {
	return fmt.Errorf("unexpected answer from %s, is it a millrace? %w", c.socket, err)
}
