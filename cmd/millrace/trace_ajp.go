package main

// This file shows AJP: its packets.

import (
	"fmt"

	"millrace/ajp"
)

// ajpState is what both directions of a connection know: a packet towards the
// back end is a part of a body while a request runs.
type ajpState struct{ inRequest bool }

// ajpDecoder reads one direction of an AJP connection.
type ajpDecoder struct {
	*printer
	collector
	state     *ajpState
	toBackEnd bool
	inside    bool
	lost      bool
}

func (d *ajpDecoder) feed(b []byte) {
	for len(b) > 0 && !d.lost {
		if !d.inside {
			var whole bool
			if b, whole = d.header(b, ajp.HeaderSize); !whole {
				return
			}
			size, err := ajp.SplitPacket(d.head, d.toBackEnd)
			if err != nil {
				d.lose(err, d.head, len(d.head)+len(b))
				return
			}
			d.size, d.inside = size, true
		}
		b = d.take(b, d.size)
		if d.seen == d.size {
			d.packet(d.content)
			d.reset()
			d.inside = false
		}
	}
}

func (d *ajpDecoder) end() {
	switch {
	case d.lost:
	case d.inside:
		d.line("a packet, cut short: %d of %d bytes", d.seen, d.size)
	case len(d.head) > 0:
		d.line("the header of a packet, cut short%s", sample(d.head, len(d.head)))
	}
}

func (d *ajpDecoder) lose(err error, b []byte, size int) {
	d.lost = true
	d.line("no AJP packet (%v)%s", err, sample(b, size))
}

// packet shows a whole packet.
func (d *ajpDecoder) packet(payload []byte) {
	var say *ajp.Description
	var err error
	if d.toBackEnd {
		say, err = ajp.DescribeRequest(payload, d.state.inRequest)
		d.state.inRequest = d.state.inRequest || err == nil && say.Type == "FORWARD_REQUEST"
	} else {
		var ends bool
		if say, ends, err = ajp.DescribeResponse(payload); ends {
			d.state.inRequest = false
		}
	}
	if err != nil {
		d.lose(err, payload, len(payload))
		return
	}
	text := fmt.Sprintf("%s, %s", say.Type, count(len(payload), "byte"))
	if say.Note != "" {
		text += ": " + say.Note
	}
	d.line("%s%s", text, sample(say.Data, len(say.Data)))
	d.params(say.Fields)
}
