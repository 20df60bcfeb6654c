//go:build unix

package daemontools

import (
	"encoding/binary"
	"errors"
	"strconv"
	"time"
)

// statusSize is the size of a status.
const statusSize = 18

// taiOrigin is 1970 as TAI64 counts seconds: 2^62, and the ten seconds by which
// TAI was ahead of UTC. The originals take no account of leap seconds, so that
// machines with different tables agree.
const taiOrigin = 1<<62 + 10

// Status is what supervise says of a service in supervise/status.
type Status struct {
	Seconds     uint64 // TAI64: when PID became what it is
	Nanoseconds uint32
	PID         uint32 // 0: not running
	Paused      byte   // 1: stopped by svc -p
	Want        byte   // 'u' up, 'd' down, 0: neither, as after svc -o
}

// Encode returns the file's 18 bytes.
func (s *Status) Encode() []byte {
	b := make([]byte, 0, statusSize)
	b = binary.BigEndian.AppendUint64(b, s.Seconds)
	b = binary.BigEndian.AppendUint32(b, s.Nanoseconds)
	b = binary.LittleEndian.AppendUint32(b, s.PID)
	return append(b, s.Paused, s.Want)
}

// DecodeStatus reads a status. What is beyond 18 bytes is not looked at.
func DecodeStatus(b []byte) (Status, error) {
	if len(b) < statusSize {
		return Status{}, errStatus
	}
	return Status{
		Seconds:     binary.BigEndian.Uint64(b),
		Nanoseconds: binary.BigEndian.Uint32(b[8:]),
		PID:         binary.LittleEndian.Uint32(b[12:]),
		Paused:      b[16],
		Want:        b[17],
	}, nil
}

var errStatus = errors.New("bad format")

// stamp sets when PID changed.
func (s *Status) stamp(t time.Time) {
	s.Seconds, s.Nanoseconds = taiOrigin+uint64(t.Unix()), uint32(t.Nanosecond())
}

// since is when PID changed, if that is a time.
func (s *Status) since() time.Time {
	return time.Unix(int64(s.Seconds-taiOrigin), int64(s.Nanoseconds))
}

// age is how long ago PID changed, in whole seconds; 0 for what is yet to come.
func (s *Status) age(now time.Time) uint64 {
	at := taiOrigin + uint64(now.Unix())
	if at < s.Seconds {
		return 0
	}
	return at - s.Seconds
}

// line is what svstat says of a status.
func (s *Status) line(normallyUp bool, now time.Time) string {
	text := "down "
	if s.PID != 0 {
		text = "up (pid " + strconv.FormatUint(uint64(s.PID), 10) + ") "
	}
	// The original counts in a double, which shows in the age of what is no time.
	text += strconv.FormatUint(uint64(float64(s.age(now))), 10) + " seconds"
	switch {
	case s.PID != 0 && !normallyUp:
		text += ", normally down"
	case s.PID == 0 && normallyUp:
		text += ", normally up"
	}
	if s.PID != 0 && s.Paused != 0 {
		text += ", paused"
	}
	switch {
	case s.PID == 0 && s.Want == 'u':
		text += ", want up"
	case s.PID != 0 && s.Want == 'd':
		text += ", want down"
	}
	return text
}
