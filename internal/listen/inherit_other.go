//go:build !unix

package listen

import "errors"

// inherit fails: descriptors are not numbers that a process hands on here.
func (l *socket) inherit(string) error {
	return &Error{Address: l.address, Err: errors.ErrUnsupported, Do: "give an address: \"host:port\""}
}
