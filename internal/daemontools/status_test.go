//go:build unix

package daemontools

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"testing"
	"time"
)

// TestStatus: the bytes of a status, one by one.
func TestStatus(t *testing.T) {
	text := []byte{
		0x40, 0, 0, 0, 0x6b, 0x0d, 0x3e, 0xd1, // TAI64: seconds since 1970, 10, and 2^62
		0x39, 0x08, 0xbb, 0x1c, // nanoseconds
		0x2f, 0x43, 0, 0, // process 0x432f, the least byte first
		1,   // paused
		'd', // wanted down
	}
	s, err := DecodeStatus(text)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Unix(0x6b0d3ed1-10, 0x3908bb1c)
	if s.PID != 0x432f || s.Paused != 1 || s.Want != 'd' || !s.since().Equal(at) {
		t.Errorf("decoded as %+v, since %v", s, s.since())
	}
	if got := s.Encode(); !bytes.Equal(got, text) {
		t.Errorf("encoded as % x", got)
	}
	for _, c := range []struct {
		up   bool
		s    Status
		want string
	}{
		{true, s, "up (pid 17199) 7 seconds, paused, want down"},
		{false, s, "up (pid 17199) 7 seconds, normally down, paused, want down"},
		{true, Status{Seconds: s.Seconds, Want: 'u', Paused: 1}, "down 7 seconds, normally up, want up"},
		{false, Status{Seconds: s.Seconds, Want: 'd'}, "down 7 seconds"},
		{false, Status{Seconds: s.Seconds + 100, Want: 'd'}, "down 0 seconds"},
		{false, Status{Seconds: ^uint64(0), PID: ^uint32(0)}, "up (pid 4294967295) 0 seconds, normally down"},
	} {
		if got := c.s.line(c.up, at.Add(7*time.Second)); got != c.want {
			t.Errorf("%+v is %q, and not %q", c.s, got, c.want)
		}
	}
}

// FuzzStatus: what is decoded is encoded as it was, and can be said.
func FuzzStatus(f *testing.F) {
	f.Add([]byte("@\x00\x00\x00k\r>\xd1\x39\x08\xbb\x1c/C\x00\x00\x00u"))
	f.Add(make([]byte, statusSize))
	f.Add(bytes.Repeat([]byte{0xff}, statusSize))
	f.Add(make([]byte, statusSize-1))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := DecodeStatus(text)
		if err != nil {
			if len(text) >= statusSize {
				t.Fatal(err)
			}
			return
		}
		if got := s.Encode(); !bytes.Equal(got, text[:statusSize]) {
			t.Errorf("% x is encoded as % x", text[:statusSize], got)
		}
		seen := sight{status: s}
		if line := seen.json("x", time.Unix(1<<31, 0)); len(line) == 0 {
			t.Errorf("%+v is nothing in JSON", s)
		}
		s.line(true, time.Unix(1<<31, 0))
	})
}

// FuzzCommands: the command line of svc gives known letters, each once.
func FuzzCommands(f *testing.F) {
	f.Add("-dx", "dir")
	f.Add("-uu", "-k")
	f.Add("--", "-u")
	f.Add("-", "-u")
	f.Fuzz(func(t *testing.T, one, two string) {
		letters, dirs, ok := svcCommands(io.Discard, []string{"svc", one, two})
		if !ok && dirs != nil || len(dirs) > 2 || len(letters) > len(commands) {
			t.Errorf("%q, %q", letters, dirs)
		}
		seen := map[byte]bool{}
		for _, letter := range letters {
			if bytes.IndexByte([]byte(commands), letter) < 0 || seen[letter] {
				t.Errorf("%q sends %q", []string{one, two}, letters)
			}
			seen[letter] = true
		}
	})
}

// FuzzControl: whatever comes by the FIFO, the status is what the known letters
// among it make of it.
func FuzzControl(f *testing.F) {
	f.Add([]byte("udopchaitk"))
	f.Add([]byte("\x00dpx\xffu"))
	f.Add([]byte("oxo"))
	f.Fuzz(func(t *testing.T, letters []byte) {
		if len(letters) > 200 {
			return
		}
		home, err := os.Getwd()
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = os.Chdir(home) }() // the engine goes from folder to folder
		e := newEngine(io.Discard)
		defer close(e.quit)
		closed := false
		s := e.openService(t.TempDir(), "x", 0, 1, func() { closed = true })
		if s == nil {
			t.Fatal("not opened")
		}
		defer s.release()
		s.started = time.Now().Add(time.Hour) // and so nothing is started within this one
		s.next = s.started
		want := byte('u')
		for _, letter := range letters {
			if closed {
				break
			}
			switch letter {
			case 'u', 'd':
				want = letter
			case 'o':
				want = 0
			}
			s.command(letter)
			if !closed {
				s.enter()
			}
		}
		if exits := bytes.IndexByte(letters, 'x') >= 0; exits != closed {
			t.Errorf("%q: closed %v", letters, closed)
		}
		if s.status.Want != want || s.status.PID != 0 || s.status.Paused != 0 {
			t.Errorf("%q: %+v", letters, s.status)
		}
	})
}

// FuzzDetails: whatever is in supervise/details, svstat --json has a line.
func FuzzDetails(f *testing.F) {
	s := Status{Seconds: taiOrigin, PID: 7, Want: 'u'}
	f.Add([]byte(`{"stamp":"` + s.stampText() + `","readiness":true,"ready":"2026-11-30T09:57:47Z","last_exit":{"code":1,"time":"2026-11-30T09:57:47Z"}}`))
	f.Add([]byte(`{"stamp":"` + s.stampText() + `","waiting_for":["a","\ud800"],"next_start":"0000-01-01T00:00:00+23:59","failures":-1}`))
	f.Add([]byte(`[]`))
	f.Add([]byte(`{`))
	f.Fuzz(func(t *testing.T, text []byte) {
		seen := sight{status: s, details: decodeDetails(text)}
		line := seen.json("x", time.Unix(100, 0))
		var back sightJSON
		if err := json.Unmarshal(line, &back); err != nil || *back.PID != 7 {
			t.Errorf("%q: %q, %v", text, line, err)
		}
	})
}
