package main

// This file shows the protocols whose bodies have no framing of their own:
// SCGI and uwsgi, whose parameters come in one piece, and HTTP and the CGI
// response, whose head is lines.

import (
	"bytes"
	"fmt"

	"millrace/gateway"
	"millrace/scgi"
	"millrace/uwsgi"
)

// plainDecoder collects a head until parse can show it; what follows is body.
type plainDecoder struct {
	*printer
	what  string // of a head that does not come whole
	parse func(d *plainDecoder, b []byte) (n int, err error)
	head  []byte
	body  bool

	line0, looked int // of a head of lines: where its last line begins, and what is known to hold no end of it
}

func (d *plainDecoder) feed(b []byte) {
	for !d.body && len(b) > 0 {
		d.head = append(d.head, b...)
		b = nil
		n, err := d.parse(d, d.head)
		switch {
		case err != nil, n == 0 && len(d.head) > shownMost:
			d.line("no %s (%v)%s", d.what, err, sample(d.head, len(d.head)))
			d.body, d.head = true, nil
		case n > 0:
			b, d.head = d.head[n:], nil
		default:
			return
		}
	}
	if len(b) > 0 {
		d.line("body, %s%s", count(len(b), "byte"), sample(b, len(b)))
	}
}

func (d *plainDecoder) end() {
	if len(d.head) > 0 && !d.body {
		d.line("%s, cut short after %d bytes%s", d.what, len(d.head), sample(d.head, len(d.head)))
	}
}

// newNetstringDecoder reads an SCGI request.
func newNetstringDecoder(p *printer) decoder {
	return &plainDecoder{printer: p, what: "netstring", parse: func(d *plainDecoder, b []byte) (int, error) {
		params, n, err := scgi.ParseRequest(b, shownMost)
		return d.showParams("netstring, %d bytes", params, n), err
	}}
}

// newPacketDecoder reads a uwsgi request.
func newPacketDecoder(p *printer) decoder {
	return &plainDecoder{printer: p, what: "packet", parse: func(d *plainDecoder, b []byte) (int, error) {
		params, n, err := uwsgi.ParseRequest(b, shownMost)
		return d.showParams("packet, %d bytes: modifier1 0, modifier2 0", params, n), err
	}}
}

func (d *plainDecoder) showParams(what string, params []gateway.Param, n int) int {
	if n > 0 {
		d.body = true
		d.line("%s", fmt.Sprintf(what, n))
		d.params(params)
	}
	return n
}

// newHeadDecoder reads a head of lines.
func newHeadDecoder(p *printer) decoder {
	return &plainDecoder{printer: p, what: "head", parse: (*plainDecoder).headEnd}
}

// headEnd shows a head when its empty line is there. Each byte is looked at
// once, however they come.
func (d *plainDecoder) headEnd(b []byte) (int, error) {
	for {
		i := bytes.IndexByte(b[d.looked:], '\n')
		if i < 0 {
			d.looked = len(b)
			return 0, nil
		}
		end := d.looked + i
		line := bytes.TrimSuffix(b[d.line0:end], []byte("\r"))
		d.looked, d.line0 = end+1, end+1
		if len(line) == 0 {
			d.looked, d.line0 = 0, 0
			d.showHead(b[:end+1])
			return end + 1, nil
		}
	}
}

// showHead shows the lines of a head. Another head follows an interim one.
func (d *plainDecoder) showHead(head []byte) {
	d.body = !bytes.HasPrefix(head, []byte("HTTP/1.1 1"))
	for line := range bytes.Lines(head) {
		if line = bytes.TrimRight(line, "\r\n"); len(line) > 0 {
			d.line("%s", shortened(string(line)))
		}
	}
}
