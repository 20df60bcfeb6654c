package pool

// What a worker may send descriptors of, and what becomes of a worker that
// sends others, or too many, or speaks out of turn.

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// fileIn makes a file that its owner alone may read.
func fileIn(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func mkfifo(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestFileBody: a descriptor gives what it allows to read, never what only we
// may.
func TestFileBody(t *testing.T) {
	for _, tt := range []struct {
		name, path string
		flags      int
		good       bool
	}{
		{"to read", fileIn(t, "secret"), unix.O_RDONLY, true},
		{"to read and write", fileIn(t, "secret"), unix.O_RDWR, true},
		{"a name alone", fileIn(t, "secret"), unix.O_PATH, false},
		{"to write", fileIn(t, "secret"), unix.O_WRONLY, false},
		{"a fifo", mkfifo(t), unix.O_RDWR, false},
		{"a folder", t.TempDir(), unix.O_RDONLY, false},
		{"a device", "/dev/zero", unix.O_RDONLY, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fd, err := unix.Open(tt.path, tt.flags|unix.O_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			b, err := newFileBody(fd, 1, 4)
			if !tt.good {
				if !errors.Is(err, errFrame) {
					t.Errorf("%v", err)
				}
				if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != unix.EBADF {
					t.Errorf("the descriptor is open still: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer b.close()
			r, err := b.reader(4)
			if err != nil {
				t.Fatal(err)
			}
			if text, err := io.ReadAll(r); err != nil || string(text) != "ecre" {
				t.Errorf("%q, %v", text, err)
			}
		})
	}
}

// TestFileBodyOffset: the app moves its file's offset while the body is sent;
// sendfile is kept where files are plain, and nothing is opened elsewhere.
func TestFileBodyOffset(t *testing.T) {
	plain := fileIn(t, strings.Repeat("0123456789", 1000))
	for path, sendfile := range map[string]bool{plain: true, "/proc/self/maps": false} {
		app, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer app.Close()
		want := make([]byte, 64)
		if _, err := io.ReadFull(app, want); err != nil {
			t.Fatal(err)
		}
		fd, err := duplicate(int(app.Fd()))
		if err != nil {
			t.Fatal(err)
		}
		b, err := newFileBody(fd, 0, 64)
		if err != nil {
			t.Fatal(err)
		}
		defer b.close()
		if b.shared == sendfile {
			t.Errorf("%s: shared %v", path, b.shared)
		}
		r, err := b.reader(64)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 64)
		for i := range got {
			if _, err := io.ReadFull(r, got[i:i+1]); err != nil {
				t.Fatal(err)
			}
			if _, err := app.Seek(7, io.SeekStart); err != nil {
				t.Fatal(err)
			}
		}
		if string(got) != string(want) {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

// TestHostileAnswers: each costs the worker its life, and nothing else: no
// byte of a file, no descriptor.
func TestHostileAnswers(t *testing.T) {
	cfg := testConfig(t, "handing:application")
	cfg.RequestTimeout = 10 * time.Minute // which is not what ends the workers
	client := &http.Client{Timeout: 10 * time.Second}
	log := logged(&cfg)
	p, server := startPool(t, cfg)
	path := fileIn(t, "bytes")
	p.waitAtRest(t, 1)
	if code, body := get(t, server.URL+"/read?"+path); code != 200 || body != "bytes" {
		t.Fatalf("%d %q\n%s", code, body, log)
	}
	for _, tt := range []struct{ how, path string }{
		{"named", path},
		{"written", path},
		{"fifo", mkfifo(t)},
		{"ready", ""},
		{"broken", ""},
		{"ask", ""},
		{"many", path},
	} {
		t.Run(tt.how, func(t *testing.T) {
			p.waitAtRest(t, 1)
			_, text := get(t, server.URL+"/")
			pid, err := strconv.Atoi(text)
			if err != nil {
				t.Fatal(err)
			}
			before := len(openDescriptors(t))
			body := ""
			resp, err := client.Get(server.URL + "/" + tt.how + "?" + tt.path)
			if err == nil { // else the connection is cut
				b, _ := io.ReadAll(resp.Body) // so may this be
				resp.Body.Close()
				body = string(b)
			}
			if strings.Contains(body, "bytes") || err == nil && resp.StatusCode < 500 && tt.how != "many" {
				t.Errorf("%q", body)
			}
			gone(t, pid)
			p.waitAtRest(t, 1)
			eventually(t, func() error {
				if now := openDescriptors(t); len(now) > before+1 { // a new connection, perhaps
					return fmt.Errorf("%d descriptors were open, now:\n%s", before, strings.Join(now, "\n"))
				}
				return nil
			})
		})
	}
}
