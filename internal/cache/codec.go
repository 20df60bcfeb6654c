package cache

// An entry in a file:
//
//	body | head | trailer
//
// The body comes first, so that the file can be handed to sendfile from its
// beginning, and written before its length is known. The trailer is the last
// trailerSize bytes: what the lengths and the sums are. It is written last, and
// what freshens an entry appends another head and another trailer: a file that
// was cut anywhere has no trailer, and is no entry.

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"net/http"
	"slices"
	"time"
)

const (
	magic       = "millrac1" // the number is the format's
	trailerSize = 48
	maxHeadBlob = 128 << 10
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var errEntry = errors.New("it is not a whole entry")

// trailer is what the end of a file says.
type trailer struct {
	body, head int64  // lengths
	at         int64  // where the head begins
	bodySum    uint32 // CRC-32C
	headSum    uint32
}

// append appends the trailer, with a sum of its own.
func (t *trailer) append(b []byte) []byte {
	start := len(b)
	b = append(b, magic...)
	b = binary.LittleEndian.AppendUint64(b, uint64(t.body))
	b = binary.LittleEndian.AppendUint64(b, uint64(t.head))
	b = binary.LittleEndian.AppendUint64(b, uint64(t.at))
	b = binary.LittleEndian.AppendUint32(b, t.bodySum)
	b = binary.LittleEndian.AppendUint32(b, t.headSum)
	b = append(b, 0, 0, 0, 0)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

// parseTrailer reads the last bytes of a file of a size.
func parseTrailer(b []byte, size int64) (trailer, error) {
	var t trailer
	if len(b) != trailerSize || string(b[:8]) != magic || binary.LittleEndian.Uint32(b[44:]) != crc32.Checksum(b[:44], castagnoli) {
		return t, errEntry
	}
	body, head, at := binary.LittleEndian.Uint64(b[8:]), binary.LittleEndian.Uint64(b[16:]), binary.LittleEndian.Uint64(b[24:])
	if size < trailerSize || head > maxHeadBlob || body > uint64(size) || at > uint64(size) || body > at || at+head+trailerSize != uint64(size) {
		return t, errEntry
	}
	t = trailer{body: int64(body), head: int64(head), at: int64(at)}
	t.bodySum, t.headSum = binary.LittleEndian.Uint32(b[32:]), binary.LittleEndian.Uint32(b[36:])
	return t, nil
}

const (
	flagValidate = 1 << iota
	flagStrict
	flagShared
	flagPublic
	flagCookies
)

// appendHead appends all of an entry but its body. Its times are whole
// milliseconds.
func appendHead(b []byte, e *entry) []byte {
	text := func(s string) { b = append(binary.AppendUvarint(b, uint64(len(s))), s...) }
	list := func(all []string) {
		b = binary.AppendUvarint(b, uint64(len(all)))
		for _, s := range all {
			text(s)
		}
	}
	number := func(n int64) { b = binary.AppendVarint(b, n) }
	text(e.key)
	text(e.place)
	list(e.vary)
	text(e.varyValue)
	number(int64(e.status))
	text(e.accel)
	number(e.born.UnixMilli())
	number(e.came.UnixMilli())
	for _, d := range []time.Duration{e.lifetime, e.whileRevalidate, e.ifError} {
		number(d.Milliseconds())
	}
	flags := int64(0)
	for i, on := range []bool{e.validate, e.strict, e.shared, e.public, e.cookies} {
		if on {
			flags |= 1 << i
		}
	}
	number(flags)
	list(e.tags)
	names := make([]string, 0, len(e.header))
	for name := range e.header {
		names = append(names, name)
	}
	slices.Sort(names)
	b = binary.AppendUvarint(b, uint64(len(names)))
	for _, name := range names {
		text(name)
		list(e.header[name])
	}
	return b
}

// headReader reads a head; once something is wrong, it gives zeros.
type headReader struct {
	b   []byte
	bad bool
}

func (r *headReader) count() int {
	n, used := binary.Uvarint(r.b)
	if used <= 0 || n > uint64(len(r.b)-used) { // each of what is counted takes a byte
		r.bad = true
		return 0
	}
	r.b = r.b[used:]
	return int(n)
}

func (r *headReader) text() string {
	n := r.count()
	if r.bad {
		return ""
	}
	s := string(r.b[:n])
	r.b = r.b[n:]
	return s
}

func (r *headReader) list() []string {
	n := r.count()
	if r.bad || n == 0 {
		return nil
	}
	all := make([]string, 0, min(n, 64))
	for range n {
		all = append(all, r.text())
		if r.bad {
			return nil
		}
	}
	return all
}

func (r *headReader) number() int64 {
	n, used := binary.Varint(r.b)
	if used <= 0 {
		r.bad = true
		return 0
	}
	r.b = r.b[used:]
	return n
}

// longest is what a duration in a file may be.
const longest = 1 << 32 * time.Second

func (r *headReader) duration() time.Duration {
	n := r.number()
	if n < -1 || n > longest.Milliseconds() {
		r.bad = true
		return 0
	}
	return time.Duration(n) * time.Millisecond
}

// time is a moment between 1970 and 2200.
func (r *headReader) time() time.Time {
	n := r.number()
	if n < 0 || n > 7258118400000 {
		r.bad = true
	}
	return time.UnixMilli(n)
}

// parseHead is the way back of appendHead.
func parseHead(b []byte) (*entry, error) {
	r := &headReader{b: b}
	e := &entry{key: r.text(), place: r.text(), vary: r.list(), varyValue: r.text(), status: int(r.number()), accel: r.text()}
	e.born, e.came = r.time(), r.time()
	e.lifetime, e.whileRevalidate, e.ifError = r.duration(), r.duration(), r.duration()
	flags := r.number()
	e.validate, e.strict, e.shared = flags&flagValidate != 0, flags&flagStrict != 0, flags&flagShared != 0
	e.public, e.cookies = flags&flagPublic != 0, flags&flagCookies != 0
	e.tags = r.list()
	n := r.count()
	if r.bad {
		return nil, errEntry
	}
	e.header = make(http.Header, min(n, 64))
	for range n {
		name := r.text()
		values := r.list()
		if r.bad || len(values) == 0 || !isToken(name) || http.CanonicalHeaderKey(name) != name || e.header[name] != nil {
			return nil, errEntry
		}
		for _, v := range values {
			if !headerText(v) {
				return nil, errEntry
			}
		}
		e.header[name] = slices.Clip(values)
	}
	if r.bad || len(r.b) != 0 || flags < 0 || flags >= 1<<5 || e.status < 200 || e.status > 999 || e.key == "" {
		return nil, errEntry
	}
	return e, nil
}

// headerText says whether a value can stand in a header.
func headerText(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' && s[i] != '\t' || s[i] == 0x7f {
			return false
		}
	}
	return true
}
