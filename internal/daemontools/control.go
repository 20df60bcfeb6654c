//go:build unix

package daemontools

import (
	"bytes"
	"io"

	"golang.org/x/sys/unix"
)

// commands are the letters that may be written to supervise/control, in the
// order in which svc names them.
const commands = "udopchaitkx"

// signalOf is the signal that a command sends; 0: it is more than a signal.
func signalOf(command byte) unix.Signal {
	switch command {
	case 'h':
		return unix.SIGHUP
	case 'a':
		return unix.SIGALRM
	case 'i':
		return unix.SIGINT
	case 't':
		return unix.SIGTERM
	case 'k':
		return unix.SIGKILL
	}
	return 0
}

// maxCommands is how many svc sends at once.
const maxCommands = 20

// svcCommands are what svc is to send: each letter once, in the order in which
// it was asked for. false: a letter is not known.
func svcCommands(stderr io.Writer, args []string) (letters []byte, dirs []string, ok bool) {
	dirs, ok = options(stderr, args, commands, func(letter byte, _ string) {
		if len(letters) < maxCommands && bytes.IndexByte(letters, letter) < 0 {
			letters = append(letters, letter)
		}
	})
	return letters, dirs, ok
}
