package nginx

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"flag"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"millrace/internal/adapt/document"
	"millrace/internal/config"
)

var update = flag.Bool("update", false, "write the expected files anew")

// Each file of testdata is a case: an nginx configuration, maybe of several files
// ("-- NAME --" begins another), and behind "== toml ==" what becomes of it, or
// behind "== errors ==" all that is wrong with it. "@" stands for the folder of the
// case. A line "-- NAME/ --" is a folder that is to be there, "-- NAME.pem --" a
// certificate with its key.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.conf")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	if len(files) < 100 {
		t.Errorf("%d cases: at least 100 are promised", len(files))
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".conf"), func(t *testing.T) { golden(t, file) })
	}
}

func golden(t *testing.T, file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	input, want, _ := strings.Cut(string(text), "\n== ")
	if want != "" {
		want = "== " + want
	}
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	name := unpack(t, dir, input)
	got := adapted(t, dir, name)
	if *update {
		if err := os.WriteFile(file, []byte(strings.TrimRight(input, "\n")+"\n\n"+got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

// unpack writes the files of a case, and returns the name of the first.
func unpack(t *testing.T, dir, input string) string {
	t.Helper()
	first, name, body := "", "site.conf", []string{}
	flush := func() {
		path := filepath.Join(dir, name)
		switch {
		case strings.HasSuffix(name, "/"):
			mkdir(t, path)
			return
		case strings.HasSuffix(name, ".pem"):
			mkdir(t, filepath.Dir(path))
			certificate(t, path)
			return
		}
		if first == "" {
			first = name
		}
		mkdir(t, filepath.Dir(path))
		if err := os.WriteFile(path, []byte(strings.ReplaceAll(strings.Join(body, "\n"), "@/", dir+"/")), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	begun := false
	for line := range strings.SplitSeq(input, "\n") {
		if inner, is := strings.CutPrefix(line, "-- "); is && strings.HasSuffix(inner, " --") {
			if begun || len(strings.TrimSpace(strings.Join(body, ""))) > 0 {
				flush()
			}
			name, body, begun = strings.TrimSuffix(inner, " --"), nil, true
			continue
		}
		body = append(body, line)
	}
	flush()
	return first
}

func mkdir(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(path, 0o755); err != nil {
		t.Fatal(err)
	}
}

// adapted is what becomes of a file. What is made has to be a configuration.
func adapted(t *testing.T, dir, name string) string {
	t.Helper()
	show := func(text string) string { return strings.ReplaceAll(text, dir+"/", "@/") }
	doc, err := Adapt(filepath.Join(dir, name), document.Options{})
	if err != nil {
		var all config.Errors
		if !errors.As(err, &all) {
			t.Fatal(err)
		}
		return "== errors ==\n" + show(err.Error()) + "\n"
	}
	out := "== toml ==\n" + show(string(doc.Bytes()))
	cfg, err := doc.Config(filepath.Join(dir, name))
	if err != nil {
		t.Errorf("what was made is no configuration: %v\n%s", err, out)
		return out
	}
	for _, w := range cfg.Warnings {
		out += "== warning: " + show(w.Error()) + "\n"
	}
	return out
}

// certificate writes one with its key.
func certificate(t *testing.T, path string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(365 * 24 * time.Hour), DNSNames: []string{"example.com", "www.example.com", "*.example.com"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})...)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}
