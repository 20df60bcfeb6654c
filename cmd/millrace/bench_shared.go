package main

// This file asks a FastCGI program whether requests may share a connection,
// before a load relies on it.

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"

	"millrace/fcgi"
	"millrace/gateway"
)

// askTimeout is for the answer to FCGI_GET_VALUES.
const askTimeout = time.Second

// askShared is an error if the program does not take --mpx requests on a
// connection, or not -c connections. One that does not answer has not said so.
func (l *load) askShared(ctx context.Context) error {
	values, err := l.getValues(ctx)
	if err != nil {
		return err
	}
	if value, _ := gateway.Lookup(values, "FCGI_MPXS_CONNS"); value != "1" {
		return &failure{fmt.Sprintf("%s: requests do not share a connection: FCGI_MPXS_CONNS is %q", l.e.given, value), "leave --mpx out"}
	}
	for name, asked := range map[string]int{"FCGI_MAX_REQS": l.mpx, "FCGI_MAX_CONNS": l.connections} {
		value, _ := gateway.Lookup(values, name)
		if n, err := strconv.Atoi(value); err == nil && n > 0 && n < asked {
			return &failure{fmt.Sprintf("%s: %s is %d, and %d are asked for", l.e.given, name, n, asked), "give a smaller -c or --mpx"}
		}
	}
	return nil
}

// getValues sends FCGI_GET_VALUES on a connection of its own.
func (l *load) getValues(ctx context.Context) ([]gateway.Param, error) {
	c, err := l.e.dial(ctx, l.o.connectTimeout, l.o.insecure)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(min(askTimeout, l.o.timeout))); err != nil {
		return nil, err
	}
	var content []byte
	for _, name := range []string{"FCGI_MAX_CONNS", "FCGI_MAX_REQS", "FCGI_MPXS_CONNS"} {
		content = fcgi.AppendPair(content, name, "")
	}
	// libfcgi reads on after the last pair, and waits for ever if nothing is
	// there: hence the padding.
	b := fcgi.AppendHeader(nil, fcgi.Header{Type: fcgi.GetValues, Length: len(content), Padding: 8})
	content = append(content, make([]byte, 8)...)
	_, err = c.Write(append(b, content...))
	b = make([]byte, fcgi.HeaderLen)
	if err == nil {
		_, err = io.ReadFull(c, b)
	}
	if err != nil {
		return nil, &failure{fmt.Sprintf("%s: no answer to FCGI_GET_VALUES, which asks whether requests may share a connection: %v", l.e.given, err), "leave --mpx out"}
	}
	h, err := fcgi.ParseHeader(b)
	if err != nil || h.Type != fcgi.GetValuesResult {
		return nil, fmt.Errorf("%w: FCGI_GET_VALUES is answered with % x", gateway.ErrBadResponse, b)
	}
	content = make([]byte, h.Length) // 65535 at most
	if _, err := io.ReadFull(c, content); err != nil {
		return nil, fmt.Errorf("%w: the answer to FCGI_GET_VALUES is cut short: %w", gateway.ErrBadResponse, err)
	}
	return fcgi.AppendPairs(nil, content)
}
