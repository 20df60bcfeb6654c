//go:build unix

package server

import (
	"log/slog"
	"net/http/httptest"
	"syscall"
	"testing"

	"millrace/internal/config"
	"millrace/internal/userdir"
)

// Without a descriptor to look for a program, its file is not sent instead: by
// then there may be one again.
func TestProgramWithoutDescriptors(t *testing.T) {
	home := t.TempDir()
	write(t, home+"/public_html/x.cgi", "secret")
	u := &userDirs{c: &config.UserDirs{Folder: "public_html", CGI: &config.CGI{Extensions: []string{".cgi"}}}, b: &builder{log: slog.New(slog.DiscardHandler)}}
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/~ann/x.cgi", nil)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 0, Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	answered := u.program(w, r, &userdir.User{Name: "ann", Home: home, UID: 1}, "/x.cgi")
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	if !answered || w.Code != 500 {
		t.Errorf("answered: %v, %d", answered, w.Code)
	}
	if u.program(httptest.NewRecorder(), r, &userdir.User{Name: "bob", Home: home + "/none", UID: 1}, "/x.cgi") {
		t.Error("a user without a home has programs")
	}
}
