package main

import (
	"strings"
	"testing"

	"millrace/internal/install"
)

// What an installation would end with is said before anything is written.
func TestMayInstall(t *testing.T) {
	for _, test := range []struct {
		kind   install.Kind
		user   int
		has    bool
		booted bool
		want   string // "": it may
	}{
		{install.Systemd, 0, true, true, ""},
		{install.Systemd, 0, false, true, "systemctl is not here"},
		{install.Systemd, 1000, true, true, "installed by root"},
		{install.Systemd, 0, true, false, "systemd does not run this system"},
		{install.RC, 0, false, false, "sysrc is not here"},
		{install.RC, 0, true, false, ""},
		{install.Launchd, 0, false, false, "launchctl is not here"},
		{install.Run, 0, false, false, ""},
		{install.Run, 1000, false, false, "installed by root"},
	} {
		err := mayInstall(test.kind, test.user, func(string) bool { return test.has }, test.booted)
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%+v: %v", test, err)
		}
	}
}
