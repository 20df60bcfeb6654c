package ajp

// What a packet says, in words: for programs that show what goes over a
// connection.

import (
	"fmt"
	"strconv"

	"millrace/gateway"
)

// Description is what a packet says.
type Description struct {
	Type   string          // "FORWARD_REQUEST", "SEND_HEADERS", …; "BODY" for a part of a request's body
	Note   string          // what there is to say in a few words, "" if nothing
	Fields []gateway.Param // of FORWARD_REQUEST and SEND_HEADERS, in the packet's order; a secret is not shown
	Data   []byte          // of BODY and SEND_BODY_CHUNK: part of the payload that was described
}

// Bounds of a packet's header: HeaderSize bytes, of which SplitPacket reads.
const HeaderSize = headerSize

// SplitPacket reads a packet's header from b, which holds HeaderSize bytes, and
// returns how many bytes of payload follow. toBackEnd is the direction.
func SplitPacket(b []byte, toBackEnd bool) (payload int, err error) {
	p := packetReader{magic: toFront, max: headerSize + 0xFFFF, buf: b, end: headerSize}
	if toBackEnd {
		p.magic = 0x1234
	}
	if _, _, err := p.take(); err != nil {
		return 0, err
	}
	return int(b[2])<<8 | int(b[3]), nil
}

// DescribeRequest says what a packet towards the back end holds. inRequest:
// it follows a FORWARD_REQUEST whose response has not ended, and is a part of
// its body.
func DescribeRequest(payload []byte, inRequest bool) (*Description, error) {
	if inRequest {
		data, err := parseChunk(payload)
		d := &Description{Type: "BODY", Data: data}
		if len(data) == 0 {
			d.Note = "the end"
		}
		return d, err
	}
	if len(payload) == 0 {
		return nil, fmt.Errorf("ajp: an empty packet where a message should be")
	}
	switch payload[0] {
	case typeCPing:
		return &Description{Type: "CPING"}, nil
	case typePing:
		return &Description{Type: "PING"}, nil
	case typeShutdown:
		return &Description{Type: "SHUTDOWN"}, nil
	}
	f, err := parseForward(payload)
	if err != nil {
		return nil, err
	}
	return &Description{Type: "FORWARD_REQUEST", Note: f.method + " " + f.uri + " " + f.protocol, Fields: f.fields()}, nil
}

// fields are the parts of a request, under the names that the protocol's
// documentation has.
func (f *forward) fields() []gateway.Param {
	fields := []gateway.Param{
		{Name: "remote_addr", Value: f.remoteAddr},
		{Name: "remote_host", Value: f.remoteHost},
		{Name: "server_name", Value: f.serverName},
		{Name: "server_port", Value: strconv.Itoa(f.serverPort)},
		{Name: "is_ssl", Value: strconv.FormatBool(f.ssl)},
	}
	for _, h := range f.headers {
		fields = append(fields, gateway.Param{Name: "header " + h.name, Value: h.value})
	}
	for _, a := range f.attributes {
		name, value := attributeNames[a.code], a.value
		switch a.code {
		case attrRequest:
			name = "attribute " + a.name
		case attrSSLKeySize:
			value = strconv.Itoa(a.size)
		case attrSecret:
			value = fmt.Sprintf("(%d bytes)", len(a.value))
		}
		fields = append(fields, gateway.Param{Name: name, Value: value})
	}
	return fields
}

var attributeNames = [...]string{
	attrContext: "context", attrServletPath: "servlet_path", attrRemoteUser: "remote_user", attrAuthType: "auth_type",
	attrQueryString: "query_string", attrRoute: "jvm_route", attrSSLCert: "ssl_cert", attrSSLCipher: "ssl_cipher",
	attrSSLSession: "ssl_session", attrSSLKeySize: "ssl_key_size", attrSecret: "secret",
}

// DescribeResponse says what a packet from the back end holds. ends: it is the
// last of a response.
func DescribeResponse(payload []byte) (d *Description, ends bool, err error) {
	if len(payload) == 0 {
		return nil, false, fmt.Errorf("ajp: an empty packet from the back end")
	}
	switch payload[0] {
	case typeSendHeaders:
		d, err = describeHead(payload)
	case typeSendBodyChunk:
		d = &Description{Type: "SEND_BODY_CHUNK"}
		d.Data, err = parseBodyChunk(payload)
	case typeGetBodyChunk:
		var n int
		n, err = parseGetBody(payload)
		d = &Description{Type: "GET_BODY_CHUNK", Note: fmt.Sprintf("at most %d bytes more", n)}
	case typeEndResponse:
		var reuse bool
		reuse, err = parseEnd(payload)
		d = &Description{Type: "END_RESPONSE", Note: "the connection ends"}
		if reuse {
			d.Note = "the connection stays"
		}
		return d, true, err
	case typeCPong:
		d = &Description{Type: "CPONG"}
	default:
		return nil, false, fmt.Errorf("ajp: unknown message type %d from the back end", payload[0])
	}
	return d, false, err
}

// describeHead reads SEND_HEADERS as it is, whether a client would take it or
// not.
func describeHead(payload []byte) (*Description, error) {
	c := &cursor{s: string(payload[1:])}
	d := &Description{Type: "SEND_HEADERS"}
	d.Note = strconv.Itoa(c.uint16()) + " " + c.string()
	for n := c.uint16(); n > 0 && c.err == nil; n-- {
		name := c.name(responseHeaders)
		d.Fields = append(d.Fields, gateway.Param{Name: name, Value: c.string()})
	}
	return d, c.end("the response's head")
}
