package pool

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"millrace/gateway"
)

// TestMarshal has every CPython load what we wrote.
func TestMarshal(t *testing.T) {
	params := []gateway.Param{
		{Name: "EMPTY", Value: ""},
		{Name: "ASCII", Value: "plain"},
		{Name: "LIMIT", Value: strings.Repeat("x", 255)},
		{Name: "LONG", Value: strings.Repeat("x", 256)},
		{Name: "VERY_LONG", Value: strings.Repeat("x", 70000)},
		{Name: "LATIN", Value: "caf\xc3\xa9 \xff\x80\x00"},
		{Name: "LATIN_LONG", Value: strings.Repeat("\xe9", 300)},
		{Name: "", Value: "no name"},
	}
	blob := appendEnviron(nil, params)
	// What PEP 3333 wants is the bytes decoded from latin-1.
	const script = `import json, marshal, sys
d = marshal.loads(sys.stdin.buffer.read())
print(json.dumps([type(d) is dict] + [[k, [ord(c) for c in v]] for k, v in d.items()], separators=(",", ":")))`
	all := []any{true}
	for _, p := range params {
		points := []int{}
		for i := range len(p.Value) {
			points = append(points, int(p.Value[i]))
		}
		all = append(all, []any{p.Name, points})
	}
	want, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	for version, python := range pythons(t) {
		cmd := exec.Command(python, "-c", script)
		cmd.Stdin = bytes.NewReader(blob)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", version, err, out)
			continue
		}
		if got := bytes.TrimSpace(out); !bytes.Equal(got, want) {
			t.Errorf("%s loads %.300s, want %.300s", version, got, want)
		}
	}
}

func TestFinishPacket(t *testing.T) {
	environ := func(n int) []byte { return append(make([]byte, packetHead), bytes.Repeat([]byte{'e'}, n)...) }
	for _, tt := range []struct {
		name         string
		environ      int
		body         int
		file, data   bool
		flags        uint32
		packet, rest int
	}{
		{"no body", 100, 0, false, false, 0, packetHead + 100, 0},
		{"a body that fits", 100, 1000, false, false, 0, packetHead + 1100, 0},
		{"a body that just fits", 100, maxPacket - packetHead - 100, false, false, 0, maxPacket, 0},
		{"a body one byte too long", 100, maxPacket - packetHead - 99, false, false, bodyByStream, packetHead + 100, 0},
		{"a body in a file", 100, 0, true, false, bodyByFile, packetHead + 100, 0},
		{"a large environ", maxPacket, 0, false, false, bodyByStream | environByStream, packetHead, maxPacket},
		{"a large environ and a file", maxPacket, 0, true, false, bodyByFile | environByStream, packetHead, maxPacket},
		{"a filter", 100, 1000, false, true, bodyByStream | dataByFile, packetHead + 100, 0},
		{"a filter and a body in a file", 100, 0, true, true, bodyByFile | dataByFile, packetHead + 100, 0},
	} {
		packet, rest := finishPacket(environ(tt.environ), bytes.Repeat([]byte{'b'}, tt.body), tt.file, tt.data)
		flags := binary.LittleEndian.Uint32(packet[12:])
		size := binary.LittleEndian.Uint32(packet[8:])
		if len(packet) != tt.packet || len(rest) != tt.rest || flags != tt.flags || int(size) != tt.environ {
			t.Errorf("%s: packet of %d, rest of %d, flags %d, environ of %d; want %d, %d, %d, %d",
				tt.name, len(packet), len(rest), flags, size, tt.packet, tt.rest, tt.flags, tt.environ)
		}
	}
}

func frameBytes(seq uint64, flags, head, body uint32) []byte {
	b := binary.LittleEndian.AppendUint64(nil, seq)
	b = binary.LittleEndian.AppendUint32(b, flags)
	b = binary.LittleEndian.AppendUint32(b, head)
	return binary.LittleEndian.AppendUint32(b, body)
}

func TestParseAnswer(t *testing.T) {
	for _, tt := range []struct {
		name              string
		flags, head, body uint32
		ok                bool
	}{
		{"whole", answerHasHead | answerEnd, 20, 100, true},
		{"a large body", answerHasHead | answerEnd, 20, 1 << 31, true},
		{"a chunk", 0, 0, 100, true},
		{"the end", answerEnd, 0, 0, true},
		{"a file", answerHasHead | answerEnd | answerFile, 20, 16, true},
		{"ready", answerReady, 0, 5, true},
		{"unknown flags", 1 << 7, 0, 0, false},
		{"a head too large", answerHasHead, maxHead + 1, 0, false},
		{"a head that no flag tells", 0, 1, 0, false},
		{"a flag without a head", answerHasHead, 0, 0, false},
		{"a file without a place", answerHasHead | answerEnd | answerFile, 20, 15, false},
		{"a file that does not end", answerHasHead | answerFile, 20, 16, false},
		{"a long reason", answerBroken, 0, maxHead + 1, false},
		{"ask with a head", answerAsk | answerHasHead, 5, 0, false},
	} {
		a, err := parseAnswer(frameBytes(7, tt.flags, tt.head, tt.body))
		if (err == nil) != tt.ok || err != nil && !errors.Is(err, errFrame) {
			t.Errorf("%s: %v, want ok %v", tt.name, err, tt.ok)
		}
		if err == nil && (a.seq != 7 || a.headLen != int(tt.head) || a.bodyLen != int(tt.body)) {
			t.Errorf("%s: %+v", tt.name, a)
		}
	}
}

// FuzzParseAnswer: a prefix that is taken encodes to itself, within bounds.
func FuzzParseAnswer(f *testing.F) {
	f.Add(frameBytes(1, answerHasHead|answerEnd, 20, 100))
	f.Add(frameBytes(1<<63, answerHasHead|answerEnd|answerFile, 20, 16))
	f.Add(frameBytes(0, answerAsk, 0, 0))
	f.Add(frameBytes(3, 0xffffffff, 0xffffffff, 0xffffffff))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < answerHead {
			return
		}
		a, err := parseAnswer(b)
		if err != nil {
			return
		}
		if a.headLen > maxHead || a.headLen < 0 || a.bodyLen < 0 {
			t.Errorf("out of bounds: %+v", a)
		}
		if again := frameBytes(a.seq, a.flags, uint32(a.headLen), uint32(a.bodyLen)); !bytes.Equal(again, b[:answerHead]) {
			t.Errorf("%x encodes to %x", b[:answerHead], again)
		}
	})
}

// FuzzParseHead: whatever an app's head holds, what passes is fit for the
// wire.
func FuzzParseHead(f *testing.F) {
	f.Add([]byte("200 OK\nContent-Type\x00text/plain\nContent-Length\x005"))
	f.Add([]byte("200 OK\nSet-Cookie\x00a\nSet-Cookie\x00b"))
	f.Add([]byte("200 OK\nX\x00a\r\nY: z"))
	f.Add([]byte("204"))
	f.Add([]byte("200 OK\nContent-Length\x001\nContent-Length\x002"))
	f.Fuzz(func(t *testing.T, head []byte) {
		h := http.Header{}
		res, _, err := parseHead(head, h)
		if err != nil {
			return
		}
		if res.status < 200 || res.status > 999 {
			t.Errorf("status %d", res.status)
		}
		var wire bytes.Buffer
		if err := h.Write(&wire); err != nil {
			t.Fatal(err)
		}
		lines := 0
		for name, values := range h {
			lines += len(values)
			if name == "Connection" || name == "Transfer-Encoding" {
				t.Errorf("%s is passed on", name)
			}
			if name == "Content-Length" && len(values) != 1 {
				t.Errorf("Content-Length %q", values)
			}
		}
		if n := strings.Count(wire.String(), "\r\n"); n != lines {
			t.Errorf("%d headers are %d lines:\n%s", lines, n, wire.String())
		}
	})
}

// FuzzMarshalString: the length that we write is that of what follows.
func FuzzMarshalString(f *testing.F) {
	f.Add("")
	f.Add("caf\xc3\xa9")
	f.Add(strings.Repeat("x", 256))
	f.Fuzz(func(t *testing.T, s string) {
		b := appendMarshalString(nil, s)
		var text []byte
		switch b[0] {
		case marshalShort:
			text = b[2:]
			if int(b[1]) != len(text) {
				t.Errorf("length %d of %d", b[1], len(text))
			}
		case marshalASCII, marshalUTF8:
			text = b[5:]
			if n := binary.LittleEndian.Uint32(b[1:]); int(n) != len(text) {
				t.Errorf("length %d of %d", n, len(text))
			}
		default:
			t.Fatalf("code %q", b[0])
		}
		points := []rune(string(text))
		if len(points) != len(s) {
			t.Fatalf("%d code points of %d bytes", len(points), len(s))
		}
		for i := range points {
			if points[i] != rune(s[i]) {
				t.Errorf("byte %#x became %U", s[i], points[i])
			}
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	var params []gateway.Param
	for i := range 25 {
		params = append(params, gateway.Param{Name: fmt.Sprintf("HTTP_X_HEADER_%d", i), Value: "a value of usual length"})
	}
	frame := make([]byte, packetHead, 4096)
	b.ReportAllocs()
	for b.Loop() {
		frame, _ = finishPacket(appendEnviron(frame[:packetHead], params), nil, false, false)
	}
}
