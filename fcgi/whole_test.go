package fcgi

import (
	"io"
	"testing"
)

// TestWhole: what is here as a whole is told so, and frees its connection; all
// else is read as ever.
func TestWhole(t *testing.T) {
	const head = "Content-Type: a/b\r\n\r\n"
	proper := says(1, head+"body").b
	padded := func() []byte {
		var b []byte
		for _, r := range []struct {
			kind    Type
			content string
		}{{Stdout, head + "body"}, {EndRequest, "\x00\x00\x00\x00\x00\x00\x00\x00"}} {
			b = append(append(AppendHeader(b, Header{Type: r.kind, ID: 1, Length: len(r.content), Padding: 5}), r.content...), make([]byte, 5)...)
		}
		return b
	}()
	for name, tt := range map[string]struct {
		answer []byte
		body   string
		whole  bool
		again  bool // the connection is used again
		fails  bool
	}{
		"proper":               {proper, "body", true, true, false},
		"no body":              {says(1, head).b, "", true, true, false},
		"padding":              {padded, "body", true, true, false},
		"a length":             {says(1, "Content-Length: 4\r\n\r\nbody").b, "body", true, true, false},
		"too short":            {says(1, "Content-Length: 9\r\n\r\nbody").b, "body", false, true, true},
		"too long":             {says(1, "Content-Length: 3\r\n\r\nbody").b, "bod", false, true, false},
		"in two records":       {append((&front{}).record(Stdout, 1, head+"bo").b, says(1, "dy").b...), "body", false, true, false},
		"something behind it":  {append(append([]byte{}, proper...), 1, 2, 3), "body", false, false, false},
		"a verdict":            {(&front{}).record(Stdout, 1, head+"body").record(EndRequest, 1, "\x00\x00\x00\x00\x09\x00\x00\x00").b, "body", false, true, true},
		"an end that is short": {(&front{}).record(Stdout, 1, head+"body").record(EndRequest, 1, "\x00\x00\x00\x00").b, "body", false, false, true},
		"another's end":        {(&front{}).record(Stdout, 1, head+"body").record(EndRequest, 2, "\x00\x00\x00\x00\x00\x00\x00\x00").b, "body", false, false, true},
	} {
		p := runProgram(t, func(p *line) {
			for r := p.request(); r != nil; r = p.request() {
				p.write(&front{b: tt.answer})
			}
		})
		c := p.client(&Client{Reuse: ReuseAlways})
		for range 2 {
			resp, err := c.RoundTrip(t.Context(), get())
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			body, whole := resp.Body.(interface{ Whole() ([]byte, bool) }).Whole()
			if whole && c.inUse() != 0 {
				t.Errorf("%s: the connection is not free", name)
			}
			rest, err := io.ReadAll(resp.Body)
			if all := string(body) + string(rest); all != tt.body || whole != tt.whole || (err != nil) != tt.fails {
				t.Errorf("%s: %q, %v, %v", name, all, whole, err)
			}
			if err := resp.Body.Close(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if again := p.opened.Load() == 1; again != tt.again {
			t.Errorf("%s: %d connections", name, p.opened.Load())
		}
	}
	// HEAD has no body, whatever comes.
	p := runProgram(t, helloProgram)
	c := p.client(&Client{Reuse: ReuseAlways})
	resp, err := c.RoundTrip(t.Context(), get("REQUEST_METHOD", "HEAD"))
	if err != nil {
		t.Fatal(err)
	}
	if body, whole := resp.Body.(interface{ Whole() ([]byte, bool) }).Whole(); whole {
		t.Errorf("HEAD: %q", body)
	}
	_ = resp.Body.Close()
}

// inUse is how many connections are open and not idle.
func (c *Client) inUse() int {
	c.pool.mu.Lock()
	defer c.pool.mu.Unlock()
	return len(c.pool.singles) - len(c.pool.idle)
}
