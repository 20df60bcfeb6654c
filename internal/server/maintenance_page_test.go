package server

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"millrace/internal/supervise"
)

// pageFolder is one that everyone may enter.
func pageFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "millrace-page-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestReadPage: what the user of [server] may not read is not read for him,
// wherever a symlink leads, and nothing but a file is.
func TestReadPage(t *testing.T) {
	dir := pageFolder(t)
	put := func(name string, mode os.FileMode) {
		t.Helper()
		write(t, filepath.Join(dir, name), "text")
		if err := os.Chmod(filepath.Join(dir, name), mode); err != nil {
			t.Fatal(err)
		}
	}
	link := func(to, name string) {
		t.Helper()
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	put("open", 0o644)
	put("secret", 0o600)
	put("group", 0o640)
	put("others", 0o604)
	put("private/open", 0o644)
	if err := os.Chmod(dir+"/private", 0o700); err != nil {
		t.Fatal(err)
	}
	link("open", "to-open")
	link("secret", "to-secret")
	link("private/open", "to-private")
	link("private", "folder")
	if err := syscall.Mkfifo(dir+"/pipe", 0o666); err != nil {
		t.Fatal(err)
	}
	gid := uint32(os.Getgid())
	stranger := &supervise.User{UID: 61234, GID: 61234}
	for _, tt := range []struct {
		name string
		as   *supervise.User
		want string // of the error
	}{
		{"open", nil, ""},
		{"secret", nil, ""},
		{"to-private", nil, ""},
		{"pipe", nil, "no file"},
		{".", nil, "no file"},
		{"open", stranger, ""},
		{"to-open", stranger, ""},
		{"secret", stranger, "uid 61234, the user of [server], may not read it"},
		{"to-secret", stranger, "may not read it"},
		{"private/open", stranger, "may not enter " + dir + "/private"},
		{"to-private", stranger, "may not enter"},
		{"folder/open", stranger, "may not enter"},
		{"pipe", stranger, "no file"},
		{".", stranger, "no file"},
		{"missing", stranger, "no such file"},
		{"group", stranger, "may not read it"},
		{"group", &supervise.User{UID: 61234, GID: gid}, ""},
		{"group", &supervise.User{UID: 61234, GID: 61234, Groups: []uint32{gid}}, ""},
		{"others", stranger, ""},
		{"others", &supervise.User{UID: 61234, GID: gid}, "may not read it"},
		{"secret", &supervise.User{UID: uint32(os.Getuid()), GID: gid}, ""},
	} {
		text, err := readPage(filepath.Join(dir, tt.name), tt.as)
		switch {
		case tt.want == "" && (err != nil || string(text) != "text"):
			t.Errorf("%s as %+v: %q, %v", tt.name, tt.as, text, err)
		case tt.want != "" && (err == nil || len(text) > 0 || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s as %+v: %q, %v; want an error with %q", tt.name, tt.as, text, err, tt.want)
		}
	}
}

// TestPagesAsTheServersUser: root reads the pages of a plan as the user that
// the plan names.
func TestPagesAsTheServersUser(t *testing.T) {
	dir := pageFolder(t)
	write(t, dir+"/down.html", "down")
	write(t, dir+"/root/a.txt", "a")
	plan := parse(t, dir, "[server]\nuser = \"61234\"\ngroup = \"61234\"\n"+maintained)
	if err := plan.readPages(true); err != nil {
		t.Error(err)
	}
	if err := os.Chmod(dir+"/down.html", 0o600); err != nil {
		t.Fatal(err)
	}
	if err := plan.readPages(true); err == nil || !strings.Contains(err.Error(), "down.html: uid 61234") {
		t.Errorf("a page that the user may not read: %v", err)
	}
	plan.Config.Server.User, plan.Config.Server.Group = "", ""
	if err := plan.readPages(true); err != nil {
		t.Errorf("without a user: %v", err)
	}
}
