// Package peers tests millrace together with the programs that people use
// today: in front of it (nginx, lighttpd, Apache, HAProxy) and behind it
// (php-fpm, uWSGI, Tomcat and others). Each is started by its test on a
// loopback address of the test's own, and stopped by its process id.
package peers

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"millrace/internal/testkit"
)

var (
	binary string // millrace, built for this run
	venv   string // with Django, flup, gunicorn and waitress
)

func TestMain(m *testing.M) {
	os.Exit(testkit.Main(m, func(k testkit.Kit) error {
		binary, venv = k.Millrace, k.Venv
		return nil
	}))
}

// client is an HTTP client that follows no redirect.
func client(t *testing.T) *http.Client {
	transport := &http.Transport{DisableCompression: true, MaxResponseHeaderBytes: 2 << 20}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport:     transport,
		Timeout:       testkit.Limit,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// gate is a FIFO that holds a response until it is opened.
func gate(t *testing.T) (path string, open func(word string)) {
	t.Helper()
	path = filepath.Join(testkit.ShortDir(t), "gate")
	if err := errors.Join(syscall.Mkfifo(path, 0o666), os.Chmod(path, 0o666)); err != nil {
		t.Fatal(err)
	}
	return path, func(word string) {
		t.Helper()
		var f *os.File
		testkit.Eventually(t, "the app stands at the gate", func() bool {
			var err error
			f, err = os.OpenFile(path, os.O_WRONLY|syscall.O_NONBLOCK, 0)
			return err == nil
		})
		_, err := f.WriteString(word)
		if err = errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
	}
}
