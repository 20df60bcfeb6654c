package main

// This file shows FastCGI: its records.

import (
	"encoding/binary"
	"fmt"

	"millrace/fcgi"
	"millrace/gateway"
)

// fcgiDecoder reads one direction of a FastCGI connection.
type fcgiDecoder struct {
	*printer
	collector
	current fcgi.Header
	inside  bool              // of a record's content or padding
	streams map[uint16][]byte // of PARAMS
	lost    bool              // what comes is no FastCGI
}

func (d *fcgiDecoder) feed(b []byte) {
	for len(b) > 0 && !d.lost {
		if !d.inside {
			var whole bool
			if b, whole = d.header(b, fcgi.HeaderLen); !whole {
				return
			}
			h, err := fcgi.ParseHeader(d.head)
			if err != nil {
				d.lost = true
				d.line("no FastCGI record (%v)%s", err, sample(d.head, len(d.head)+len(b)))
				return
			}
			d.current, d.size, d.inside = h, h.Length+h.Padding, true
		}
		b = d.take(b, d.current.Length)
		if d.seen == d.size {
			d.record(d.content)
			d.reset()
			d.inside = false
		}
	}
}

func (d *fcgiDecoder) end() {
	switch {
	case d.lost:
	case d.inside:
		d.line("%v id %d, cut short: %d of %d bytes", d.current.Type, d.current.ID, len(d.content), d.current.Length)
	case len(d.head) > 0:
		d.line("the header of a record, cut short: %d of %d bytes%s", len(d.head), fcgi.HeaderLen, sample(d.head, len(d.head)))
	}
}

// record shows a whole record.
func (d *fcgiDecoder) record(content []byte) {
	h := d.current
	what := fmt.Sprintf("%v id %d, %s", h.Type, h.ID, count(h.Length, "byte"))
	if h.Padding > 0 {
		what += fmt.Sprintf(" and %d of padding", h.Padding)
	}
	switch h.Type {
	case fcgi.BeginRequest:
		d.line("%s%s", what, beginText(content))
	case fcgi.EndRequest:
		d.line("%s%s", what, endText(content))
	case fcgi.Params:
		d.paramsRecord(what, content)
	case fcgi.GetValues, fcgi.GetValuesResult:
		d.pairs(what+": ", content)
	case fcgi.Stdin, fcgi.Stdout, fcgi.Stderr, fcgi.Data:
		if h.Length == 0 {
			what += ": the end"
		}
		d.line("%s%s", what, sample(content, len(content)))
	default:
		d.line("%s%s", what, sample(content, len(content)))
	}
}

// paramsRecord shows the parameters when their stream has ended.
func (d *fcgiDecoder) paramsRecord(what string, content []byte) {
	if d.streams == nil {
		d.streams = map[uint16][]byte{}
	}
	all := d.streams[d.current.ID]
	if len(content) > 0 {
		d.line("%s", what)
		if len(all)+len(content) <= shownMost {
			d.streams[d.current.ID] = append(all, content...)
		}
		return
	}
	delete(d.streams, d.current.ID)
	d.pairs(what+": the end of ", all)
}

func (d *fcgiDecoder) pairs(what string, b []byte) {
	params, err := fcgi.AppendPairs(nil, b)
	d.line("%s%s", what, count(len(params), "pair"))
	d.params(params)
	if err != nil {
		d.line("    and then: %v", err)
	}
}

// beginText is what BEGIN_REQUEST says.
func beginText(b []byte) string {
	if len(b) < 3 {
		return sample(b, len(b))
	}
	text := ": no role"
	if role := binary.BigEndian.Uint16(b); role > 0 && role < 1<<8 {
		text = ": " + gateway.Role(role-1).String()
	}
	if b[2]&1 != 0 {
		text += ", keep the connection"
	}
	return text
}

// endText is what END_REQUEST says.
func endText(b []byte) string {
	if len(b) < 5 {
		return sample(b, len(b))
	}
	text := ": " + fcgi.Status(b[4]).String()
	if status := binary.BigEndian.Uint32(b); status != 0 {
		text += fmt.Sprintf(", exit status %d", status)
	}
	return text
}
