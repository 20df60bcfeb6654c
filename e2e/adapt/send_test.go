package adapt

// This file: a request as bytes, sent on a connection of its own, and what
// came back.

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// request is what is asked: the target is sent as it is written here.
type request struct {
	method string // "": GET
	target string
	host   string // "": that of the address
	header string // further lines, each with a line feed at its end
	body   string
	kind   string // what it is for: "conditional", "range", …

	connection string // the header; "": close
}

func (r request) String() string {
	s := r.Method() + " " + r.target
	if r.host != "" {
		s += " Host: " + r.host
	}
	if r.header != "" {
		s += " " + strings.ReplaceAll(strings.TrimSpace(r.header), "\n", "; ")
	}
	if r.body != "" {
		s += fmt.Sprintf(" (%d bytes)", len(r.body))
	}
	return s
}

// Method is the method of the request.
func (r request) Method() string {
	if r.method == "" {
		return "GET"
	}
	return r.method
}

// response is what came back, with the address of the server as @HOST@.
type response struct {
	status int
	header http.Header
	body   string
	failed string // why there is none
}

// patience is how long an answer may take; all of these are short.
const patience = 20 * time.Second

// ask sends a request to an address.
func ask(t *testing.T, address string, r request) *response {
	t.Helper()
	host := r.host
	if host == "" {
		host = address
	}
	var b bytes.Buffer
	connection := r.connection
	if connection == "" {
		connection = "close"
	}
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: %s\r\n", r.Method(), r.target, host, connection)
	b.WriteString(strings.ReplaceAll(r.header, "\n", "\r\n"))
	if r.body != "" && !strings.Contains(r.header, "Transfer-Encoding") {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(r.body))
	}
	b.WriteString("\r\n" + r.body)
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience)) // of a connection that is open this does not fail
	go func() { _, _ = c.Write(b.Bytes()) }()   // a server may answer, and close, before it has read a body
	resp, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: r.Method()})
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("%s: %s: no answer within %v", address, r, patience)
	}
	if err != nil {
		return &response{failed: err.Error()}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return &response{failed: "body: " + err.Error()}
	}
	if resp.Header.Get("Content-Encoding") == "gzip" && r.Method() != "HEAD" && !strings.HasSuffix(r.target, ".gz") && len(body) > 0 {
		z, err := gzip.NewReader(bytes.NewReader(body))
		if err == nil {
			body, err = io.ReadAll(z)
		}
		if err != nil {
			return &response{failed: "gzip: " + err.Error()}
		}
	}
	ip, _, _ := strings.Cut(address, ":")
	for _, values := range resp.Header {
		for i := range values {
			values[i] = strings.ReplaceAll(values[i], ip, "@HOST@")
		}
	}
	return &response{status: resp.StatusCode, header: resp.Header, body: strings.ReplaceAll(string(body), ip, "@HOST@")}
}
