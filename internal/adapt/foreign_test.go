package adapt

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"millrace/internal/adapt/document"
	"millrace/internal/config"
)

func TestGuess(t *testing.T) {
	for _, test := range []struct{ path, text, want string }{
		{"/etc/lighttpd/lighttpd.conf", "", "lighttpd"},
		{"/etc/lighttpd/conf-available/10-x.conf", "# nothing\n", "lighttpd"},
		{"/home/jo/site.conf", "server.document-root = \"/srv\"\n$HTTP[\"host\"] == \"a\" { }\n", "lighttpd"},
		{"/home/jo/site.conf", "var.x = 1\n  url.redirect = ( )\n", "lighttpd"},
		{"/home/jo/notes.txt", "hello\n", ""},
	} {
		if got := Guess(test.path, []byte(test.text)); got != test.want {
			t.Errorf("%s, %q: %q, want %q", test.path, test.text, got, test.want)
		}
	}
}

func TestFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "notes")
	if err := os.WriteFile(path, []byte("hello\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var list config.Errors
	if _, err := File(path, "", document.Options{}); !errors.As(err, &list) || !strings.Contains(err.Error(), "--from lighttpd") {
		t.Errorf("it is %v", err)
	}
	if _, err := File(filepath.Join(dir, "none"), "", document.Options{}); !errors.As(err, &list) || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("it is %v", err)
	}
	var said *ArgumentError
	if _, err := File(path, "squid", document.Options{}); !errors.As(err, &said) || !strings.Contains(said.Hint(), "lighttpd") {
		t.Errorf("it is %v", err)
	}
	if err := os.WriteFile(path, []byte("server.document-root = \""+dir+"\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := File(path, "", document.Options{})
	if err != nil || !strings.Contains(string(d.Bytes()), dir) || len(d.Files()) != 1 {
		t.Errorf("it is %v", err)
	}
}
