package daemontools

// This file: the times that begin lines of logs, and name their files.

import (
	"time"
)

// taiOffset is what a label says of the second that Unix counts from: 2^62, and
// the ten seconds that TAI was ahead then. Leap seconds since are not counted,
// as in every program of this family.
const taiOffset = 1<<62 + 10

// stampLength is the length of "@" and 24 hexadecimal digits.
const stampLength = 25

const hexDigits = "0123456789abcdef"

// appendStamp appends the label of a time.
func appendStamp(b []byte, t time.Time) []byte {
	seconds, nanoseconds := uint64(t.Unix())+taiOffset, uint32(t.Nanosecond())
	var s [stampLength]byte
	s[0] = '@'
	for i := 16; i > 0; i-- {
		s[i] = hexDigits[seconds&15]
		seconds >>= 4
	}
	for i := 24; i > 16; i-- {
		s[i] = hexDigits[nanoseconds&15]
		nanoseconds >>= 4
	}
	return append(b, s[:]...)
}

// label is a label as it is read, digit by digit: as the original does it, of
// whatever length. The last 8 digits are nanoseconds, the 16 before them seconds.
type label struct {
	seconds     uint64
	nanoseconds uint32
}

// add takes the next digit, and reports whether c is one.
func (l *label) add(c byte) bool {
	digit := uint32(c - '0')
	if digit > 9 {
		if c < 'a' || c > 'f' {
			return false
		}
		digit = uint32(c-'a') + 10
	}
	l.seconds = l.seconds<<4 + uint64(l.nanoseconds>>28)
	l.nanoseconds = l.nanoseconds<<4 + digit
	return true
}

// unix is the seconds since 1970, which may be anything.
func (l *label) unix() int64 { return int64(l.seconds - taiOffset) }

// Seconds whose year the original's localtime can say: beyond, it crashes.
const (
	leastUnix = -67768040609740800
	mostUnix  = 67768036191676799
)

// appendLocal appends the time in a zone, as tai64nlocal writes it. It returns
// false, and b as it was, for a label whose year has more digits than any.
func (l *label) appendLocal(b []byte, zone *time.Location) ([]byte, bool) {
	if u := l.unix(); u < leastUnix || u > mostUnix {
		return b, false
	}
	// Package time is right for years that have many digits, in UTC at least, but
	// its Format is not: each field is written here.
	t := time.Unix(l.unix(), 0).In(zone)
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	b = appendPadded(b, uint64(int32(year)), 1) // which wraps twice, as there
	b = append(b, '-')
	b = appendPadded(b, uint64(month), 2)
	b = append(b, '-')
	b = appendPadded(b, uint64(day), 2)
	b = append(b, ' ')
	b = appendPadded(b, uint64(hour), 2)
	b = append(b, ':')
	b = appendPadded(b, uint64(minute), 2)
	b = append(b, ':')
	b = appendPadded(b, uint64(second), 2)
	b = append(b, '.')
	return appendPadded(b, uint64(l.nanoseconds), 9), true
}

// appendPadded appends n in decimal, with zeros before it up to a width.
func appendPadded(b []byte, n uint64, width int) []byte {
	var digits [20]byte
	i := len(digits)
	for ; n > 0 || width > 0; width-- {
		i--
		digits[i] = byte('0' + n%10)
		n /= 10
	}
	return append(b, digits[i:]...)
}
