package daemontools

import (
	"bytes"
	"math/big"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// hexOf is a label, as a number, of a second.
func hexOf(unix int64) *big.Int {
	seconds := new(big.Int).SetUint64(uint64(unix) + taiOffset)
	return seconds.Lsh(seconds, 32)
}

var stamp = regexp.MustCompile(`@[0-9a-f]{24}`)

// stampsOut is a text without its times.
func stampsOut(text string) string { return stamp.ReplaceAllString(text, "@") }

// reference is the manual's words for a pattern: what a star may be is tried out.
// It is asked of patterns without two stars in a row alone, of which the manual
// says nothing.
func reference(pattern string, line []byte) bool {
	switch {
	case pattern == "":
		return len(line) == 0
	case pattern == "*":
		return true
	case pattern[0] != '*':
		return len(line) > 0 && line[0] == pattern[0] && reference(pattern[1:], line[1:])
	}
	for n := 0; n <= len(line); n++ {
		if bytes.IndexByte(line[:n], pattern[1]) < 0 && reference(pattern[1:], line[n:]) {
			return true
		}
	}
	return false
}

func FuzzPattern(f *testing.F) {
	for _, seed := range []string{"hello", "*", "a*b", "named[*]: Cleaned cache *", "*a*b*", "**", "a**b", "*\x00", "\xff*\xfe"} {
		f.Add(seed, []byte("hello"))
		f.Add(seed, []byte("named[135]: Cleaned cache of 3121 RRs"))
	}
	f.Fuzz(func(t *testing.T, pattern string, line []byte) {
		got := matches(pattern, line)
		if len(pattern) > 20 || len(line) > 40 || strings.Contains(pattern, "**") {
			return
		}
		if want := reference(pattern, line); got != want {
			t.Errorf("%q matches %q: %v", pattern, line, got)
		}
	})
}

func FuzzScript(f *testing.F) {
	f.Add("t\x00s4096\x00n2\x00!x\x00./main\x00-*\x00+a*\x00e\x00=f\x00/b")
	f.Add("s\x00n99999999999999999999\x00s1x\x00\x00.")
	f.Fuzz(func(t *testing.T, text string) {
		args := strings.Split(text, "\x00")
		s := parseScript(args)
		folders := 0
		for _, a := range s.actions {
			switch a.kind {
			case '.':
				if a.index != folders {
					t.Errorf("the folders are %d and %d", a.index, folders)
				}
				folders++
			case '=':
				_ = s.files[a.index]
			case '+', '-', 'e':
			default:
				t.Errorf("the action %q", a.kind)
			}
		}
		if folders != len(s.folders) || s.stamp != strings.HasPrefix(text, "t") {
			t.Errorf("%q is %+v", args, s)
		}
		for _, d := range s.folders {
			if d.size < leastSize || d.size > mostSize || d.keep < leastKeep {
				t.Errorf("%q: a log of %d bytes, %d files", args, d.size, d.keep)
			}
		}
	})
}

func FuzzJournal(f *testing.F) {
	whole := &progress{sequence: 7, boot: [16]byte{1, 2}, stdin: fileID{1, 2}, start: 10, end: 20, within: true,
		logs: []journaled{{fileID{3, 4}, 5, true}, {fileID{6, 7}, 8, false}}}
	f.Add(whole.appendSlot(nil), []byte("data"))
	f.Add((&progress{settled: true}).appendSlot(nil), []byte("data\n\x00\x00"))
	f.Add([]byte(journalMagic), []byte{})
	f.Fuzz(func(t *testing.T, slot, data []byte) {
		p, ok := parseSlot(slot)
		if !ok {
			return
		}
		again, ok := parseSlot(p.appendSlot(nil))
		if !ok || !reflect.DeepEqual(p, again) {
			t.Errorf("%+v became %+v", p, again)
		}
		mem := make([]byte, journalSize)
		copy(mem[slotSize:2*slotSize], slot)
		copy(mem[2*slotSize:], data)
		n, ok := newest(mem, p.boot)
		if !ok || n.start > n.end || n.end > journalData || n.end < p.end {
			t.Errorf("%+v of %+v", n, p)
		}
		other := p.boot
		other[0]++
		if _, ok := newest(mem, other); ok {
			t.Error("of another boot")
		}
	})
}

// TestJournalSlot: a slot that was not written to its end is none, at any byte.
func TestJournalSlot(t *testing.T) {
	t.Parallel()
	old := (&progress{sequence: 1, end: 3, logs: []journaled{{fileID{1, 1}, 10, false}}}).appendSlot(nil)
	next := (&progress{sequence: 3, start: 2, end: 3, logs: []journaled{{fileID{2, 2}, 20, true}}}).appendSlot(nil)
	before := (&progress{sequence: 2, start: 1, end: 3, logs: []journaled{{fileID{1, 1}, 15, true}}}).appendSlot(nil)
	mem := make([]byte, journalSize)
	copy(mem, before)
	copy(mem[2*slotSize:], "ab\nnew\x00line\n\x00")
	for n := range next {
		copy(mem[slotSize:], old)
		copy(mem[slotSize:], next[:n])
		// The last bytes of the sum may be those of the old one by chance.
		p, ok := newest(mem, [16]byte{})
		if !ok || p.sequence != 2 || p.start != 1 || p.end != 12 {
			t.Fatalf("with %d bytes of the next: %+v, %v", n, p, ok)
		}
	}
}
