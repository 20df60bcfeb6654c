package listen

// This file: reads that need no memory while they wait.
//
// A server with 1,000 connections has nearly all of them waiting for the next
// request. A buffer of 4 KiB that each brings along for it is as much as all
// the rest that a connection needs, and mostly out of the processor's cache
// when it is used.

import "net"

// lender lends the memory of a read. It may be asked several times, each time
// after it has got back what it lent before; after a read that has brought
// bytes it has what they are in.
type lender = interface {
	Lend() []byte
	TakeBack()
}

// readLate is a Read of c for which memory is lent as late as c can.
func readLate(c net.Conn, l lender) (int, error) {
	if late, ok := c.(interface{ readLate(l lender) (int, error) }); ok {
		return late.readLate(l)
	}
	n, err := c.Read(l.Lend())
	if n == 0 {
		l.TakeBack()
	}
	return n, err
}
