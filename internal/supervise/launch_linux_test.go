package supervise

import (
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// What systemd's AmbientCapabilities= gives us is not a program's, whether it
// has rights of its own or none.
func TestAmbientCapabilities(t *testing.T) {
	needRoot(t)
	const bind = unix.CAP_NET_BIND_SERVICE
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // for ever: the thread ends with its capabilities
		header := &unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var caps [2]unix.CapUserData
		if err := unix.Capget(header, &caps[0]); err != nil {
			t.Error(err)
			return
		}
		caps[0].Inheritable |= 1 << bind
		if err := unix.Capset(header, &caps[0]); err != nil {
			t.Error(err)
			return
		}
		if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, bind, 0, 0); err != nil {
			t.Error(err)
			return
		}
		if !hasAmbient() {
			t.Error("the capability is not seen")
		}
		if s := run(t, reporter(t, Rights{})); s.Status["CapAmb"] != "0000000000000000" {
			t.Errorf("a program has the ambient capabilities %s", s.Status["CapAmb"])
		}
		s := run(t, reporter(t, Rights{User: &User{UID: 61001, GID: 61001}}))
		if s.Status["CapAmb"] != "0000000000000000" || s.Status["CapEff"] != "0000000000000000" {
			t.Errorf("a user's program has the capabilities %s, effective %s", s.Status["CapAmb"], s.Status["CapEff"])
		}
	}()
	<-done
	if hasAmbient() {
		t.Error("other threads have the capability")
	}
}
