package server

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestStatusOfGateways: what a server of this version says in JSON is shown.
func TestStatusOfGateways(t *testing.T) {
	const said = `{
		"listen": [
			{"given": ":80", "url": "http://localhost:80", "protocol": "http", "connections": 3},
			{"given": "127.0.0.1:0", "url": "scgi://127.0.0.1:4711", "protocol": "scgi", "app": "main", "connections": 2}
		],
		"upstreams": [{"name": "api", "protocol": "fastcgi", "waiting": 0, "servers": [
			{"address": "a:1", "state": "up", "reached": true, "active": 1, "answered": 7, "failed": 0},
			{"address": "b:2", "state": "passed over", "reached": false, "active": 0, "answered": 0, "failed": 3}
		]}]
	}`
	s := new(Status)
	if err := json.Unmarshal([]byte(said), s); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := s.WriteText(&out); err != nil {
		t.Fatal(err)
	}
	const want = `
ADDRESS                APP   PROTOCOL  CONNECTIONS
scgi://127.0.0.1:4711  main  scgi                2

UPSTREAM  SERVER  PROTOCOL  STATE        ACTIVE  ANSWERED  FAILED
api       a:1     fastcgi   up                1         7       0
api       b:2     fastcgi   passed over       0         0       3
`
	if !strings.HasSuffix(out.String(), want) {
		t.Errorf("got\n%s\nwant at its end\n%s", out.String(), want)
	}
}
