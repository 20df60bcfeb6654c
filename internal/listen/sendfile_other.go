//go:build !linux

package listen

import "io"

// sendPiece sends until piece is used up or its source ends.
func (c *tcpConn) sendPiece(piece *io.LimitedReader) (int64, error) { return c.sendAny(piece) }
