package main

// The request of a load, and what a right answer to it is.

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// helloBody is what most apps answer.
const helloBody = "Hello, World!\n"

// ask is one request.
type ask struct {
	url  string
	post int    // length of the body; 0: GET
	body string // the right answer; empty: its length alone counts
	size int64  // of the right answer; -1: any
}

// insecure takes the certificate that the servers share.
var insecure = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}

// check asks once and compares the answer.
func (a ask) check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	method, body := http.MethodGet, io.Reader(http.NoBody)
	if a.post > 0 {
		method, body = http.MethodPost, strings.NewReader(strings.Repeat("x", a.post))
	}
	req, err := http.NewRequestWithContext(ctx, method, a.url, body)
	if err != nil {
		return err
	}
	req.Close = true
	req.Header.Set("Accept-Encoding", "identity")
	resp, err := insecure.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	const begin = 1 << 10
	head, err := io.ReadAll(io.LimitReader(resp.Body, begin))
	if err != nil {
		return err
	}
	rest, err := io.Copy(io.Discard, resp.Body)
	if err != nil {
		return err
	}
	switch size := int64(len(head)) + rest; {
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("%s answers %s, %.200q", a.url, resp.Status, head)
	case a.body != "" && (string(head) != a.body || rest > 0):
		return fmt.Errorf("%s answers %.200q, want %q", a.url, head, a.body)
	case a.body == "" && a.size >= 0 && size != a.size:
		return fmt.Errorf("%s answers %d bytes, want %d", a.url, size, a.size)
	}
	return nil
}
