package uwsgi

import (
	"strings"
	"testing"

	"millrace/gateway"
)

// TestEncode is what the client says of the body: exactly what follows, since
// a server reads that much of the connection, and nothing where there is none.
func TestEncode(t *testing.T) {
	const name = "CONTENT_LENGTH"
	tests := []struct {
		test   string
		have   []gateway.Param
		length int64
		want   []gateway.Param
	}{
		{"no body", nil, 0, nil},
		{"no body, said so", []gateway.Param{{Name: name, Value: "0"}}, 0, []gateway.Param{{Name: name, Value: "0"}}},
		{"no body, as nginx says it", []gateway.Param{{Name: name, Value: ""}}, 0, []gateway.Param{{Name: name, Value: ""}}},
		{"a body", []gateway.Param{{Name: name, Value: "5"}}, 5, []gateway.Param{{Name: name, Value: "5"}}},
		{"a body, unsaid", nil, 5, []gateway.Param{{Name: name, Value: "5"}}},
		{"another length", []gateway.Param{{Name: name, Value: "6"}}, 5, []gateway.Param{{Name: name, Value: "5"}}},
		{"a length without a body", []gateway.Param{{Name: name, Value: "6"}}, 0, []gateway.Param{{Name: name, Value: "0"}}},
	}
	for _, test := range tests {
		t.Run(test.test, func(t *testing.T) {
			before := append([]gateway.Param{{Name: "A", Value: "b"}}, test.have...)
			req := &gateway.Request{Params: append([]gateway.Param(nil), before...), ContentLength: test.length}
			if test.length > 0 {
				req.Body = strings.NewReader(strings.Repeat("x", int(test.length)))
			}
			c := &Client{}
			b, err := c.encode(nil, req)
			if err != nil {
				t.Fatal(err)
			}
			got, _, err := ParseRequest(b, maxSize)
			want := append([]gateway.Param{{Name: "A", Value: "b"}}, test.want...)
			if err != nil || format(got) != format(want) {
				t.Errorf("%v, %v; want %v", got, err, want)
			}
			if format(req.Params) != format(before) {
				t.Errorf("the caller's parameters are %v now", req.Params)
			}
		})
	}
}

func TestModifiers(t *testing.T) {
	c := &Client{Modifier1: 14, Modifier2: 3}
	b, err := c.encode(nil, &gateway.Request{})
	if err != nil || string(b) != "\x0e\x00\x00\x03" {
		t.Errorf("%q, %v", b, err)
	}
}
