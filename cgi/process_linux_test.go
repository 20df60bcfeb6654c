package cgi

import (
	"strings"
	"syscall"
	"testing"
)

func init() {
	// flags writes those of its three descriptors that block.
	programs["flags"] = func() {
		var b strings.Builder
		for fd := range 3 {
			if flags, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_GETFL, 0); errno == 0 && flags&syscall.O_NONBLOCK == 0 {
				b.WriteByte('0' + byte(fd))
			}
		}
		syscall.Write(1, []byte("A: b\n\n"+b.String()))
	}
}

// Many a program takes EAGAIN for a failure.
func TestProgramsGetBlockingPipes(t *testing.T) {
	if got := text(t, program(t, "flags"), post(onlyReader{strings.NewReader("abc")}, 3)); got != "012" {
		t.Errorf("only the descriptors %q block", got)
	}
}
