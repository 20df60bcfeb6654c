//go:build unix

package daemontools

// This file: the pages of the journal.

import (
	"runtime/debug"

	"golang.org/x/sys/unix"
)

// pages are a journal that is open. Without one (mem is nil) the data is in
// memory of this process alone: a kill then loses what was not written.
type pages struct {
	file     int
	mem      []byte
	sequence uint64
	boot     [16]byte
	slot     []byte
}

// openPages maps a file, and returns what the process before has left there. A
// file system that has no room, or cannot map, makes no journal.
func openPages(file int) (pages, *progress) {
	p := pages{file: file, boot: bootID()}
	var st unix.Stat_t
	if unix.Fstat(file, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return p, nil
	}
	if st.Size != journalSize {
		_ = unix.Ftruncate(file, 0) // none of ours
	}
	if reserve(file, journalSize) != nil {
		_ = unix.Ftruncate(file, 0)
		return p, nil
	}
	mem, err := unix.Mmap(file, 0, journalSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return p, nil
	}
	p.mem = mem
	left, ok := newest(mem, p.boot)
	if !ok {
		clear(mem)
		return p, nil
	}
	p.sequence = left.sequence
	return p, left
}

// write writes a slot. It returns false, and there is no journal any more, if
// the disk has no room for a page after all.
func (p *pages) write(state *progress) (ok bool) {
	if p.mem == nil {
		return true
	}
	p.sequence++
	state.sequence, state.boot = p.sequence, p.boot
	p.slot = state.appendSlot(p.slot[:0])
	return p.guarded(func() { copy(p.mem[p.sequence%2*slotSize:], p.slot) })
}

// guarded reads or writes pages.
func (p *pages) guarded(do func()) (ok bool) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if ok {
			return
		}
		fault := recover()
		if _, is := fault.(interface{ Addr() uintptr }); !is {
			panic(fault)
		}
		p.mem = nil // stays mapped, for whoever reads the data
	}()
	do()
	return true
}

// done says that all was logged, by an empty file. The file is the lock, which
// the end of the process lets go of.
func (p *pages) done() {
	p.mem = nil
	_ = unix.Ftruncate(p.file, 0) // a journal that says the same is as good
}
