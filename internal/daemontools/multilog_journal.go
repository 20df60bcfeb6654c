package daemontools

// This file: the journal of multilog, by which a kill at any moment loses
// nothing. What is read from stdin is gone from the pipe, so it is read into
// pages of a file: they are there for the next multilog, whatever becomes of
// this one. The file is "lock" of the first folder, which is there anyway and
// empty: it is empty again after a proper end, and the original does not mind.
//
// The file is two slots and the data. A slot says which part of the data was
// not logged yet, and how long each current was when all before that part was
// in it. The older slot is written over, so that one is whole at any moment.
//
// What came into the data since the newest slot was written is found by being
// not zero: data that was logged is zeroed before more is read. Zeros at the
// very end of what was read may be lost so; no line ends with one.
//
// It is of no use after the machine itself went down, when pages may be on the
// disk or not: a slot names the boot that it is of.

import (
	"encoding/binary"
	"hash/crc32"
)

const (
	slotSize    = 4096
	journalData = 128 << 10
	journalSize = 2*slotSize + journalData

	slotHead   = 80
	slotLog    = 32
	journalMax = (slotSize - slotHead - 4) / slotLog // logs

	journalMagic = "multilo1"
)

// fileID is which file something is.
type fileID struct{ device, inode uint64 }

// progress is what a slot says.
type progress struct {
	sequence   uint64
	boot       [16]byte
	stdin      fileID // where the rest of an unfinished line will come from
	start, end int    // of the data that was not logged yet
	settled    bool   // nothing was read since: what is not zero behind end is old
	within     bool   // start is within a line whose beginning is logged
	logs       []journaled
}

// journaled is what a slot says of one log.
type journaled struct {
	id       fileID
	size     int64
	selected bool // the line that start is within is for this log
}

// appendSlot appends a slot; b must be empty.
func (p *progress) appendSlot(b []byte) []byte {
	flag := func(v bool) uint32 {
		if v {
			return 1
		}
		return 0
	}
	le := binary.LittleEndian
	b = append(b, journalMagic...)
	b = le.AppendUint64(b, p.sequence)
	b = append(b, p.boot[:]...)
	b = le.AppendUint64(b, p.stdin.device)
	b = le.AppendUint64(b, p.stdin.inode)
	for _, v := range []uint32{uint32(p.start), uint32(p.end), flag(p.settled), flag(p.within), uint32(len(p.logs)), 0, 0, 0} {
		b = le.AppendUint32(b, v)
	}
	for _, l := range p.logs {
		b = le.AppendUint64(b, l.id.device)
		b = le.AppendUint64(b, l.id.inode)
		b = le.AppendUint64(b, uint64(l.size))
		b = le.AppendUint64(b, uint64(flag(l.selected)))
	}
	return le.AppendUint32(b, crc32.ChecksumIEEE(b))
}

// parseSlot reads a slot; false: it is none, or was not written to its end.
func parseSlot(b []byte) (*progress, bool) {
	le := binary.LittleEndian
	if len(b) < slotHead+4 || string(b[:8]) != journalMagic {
		return nil, false
	}
	word := func(i int) uint32 { return le.Uint32(b[48+4*i:]) }
	p := &progress{
		sequence: le.Uint64(b[8:]),
		stdin:    fileID{le.Uint64(b[32:]), le.Uint64(b[40:])},
		start:    int(word(0)), end: int(word(1)),
		settled: word(2) == 1, within: word(3) == 1,
	}
	copy(p.boot[:], b[16:])
	n := int(word(4))
	if p.start < 0 || p.start > p.end || p.end > journalData || word(2) > 1 || word(3) > 1 || word(5)|word(6)|word(7) != 0 || n > journalMax {
		return nil, false
	}
	length := slotHead + n*slotLog
	if len(b) < length+4 || le.Uint32(b[length:]) != crc32.ChecksumIEEE(b[:length]) {
		return nil, false
	}
	for ; n > 0; n-- {
		l := b[length-n*slotLog:]
		size, selected := le.Uint64(l[16:]), le.Uint64(l[24:])
		if size>>63 != 0 || selected > 1 {
			return nil, false
		}
		p.logs = append(p.logs, journaled{fileID{le.Uint64(l), le.Uint64(l[8:])}, int64(size), selected == 1})
	}
	return p, true
}

// newest is what a journal says, if it is one of this boot. Its end is that of
// all the data.
func newest(mem []byte, boot [16]byte) (*progress, bool) {
	if len(mem) < journalSize {
		return nil, false
	}
	var found *progress
	for i := range 2 {
		p, ok := parseSlot(mem[i*slotSize:][:slotSize])
		if ok && p.boot == boot && (found == nil || p.sequence > found.sequence) {
			found = p
		}
	}
	if found == nil {
		return nil, false
	}
	if !found.settled {
		data := mem[2*slotSize:][:journalData]
		end := len(data)
		for end > found.end && data[end-1] == 0 {
			end--
		}
		found.end = end
	}
	return found, true
}
