package lighttpd

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"flag"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"millrace/internal/adapt/document"
)

var update = flag.Bool("update", false, "write what came out into testdata")

// archive is the files of a case: "-- NAME --" begins one.
type archive struct {
	comment string
	names   []string
	files   map[string]string
}

func parseArchive(text string) *archive {
	a := &archive{files: map[string]string{}}
	name := ""
	for line := range strings.SplitAfterSeq(text, "\n") {
		of, begins := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "-- ")
		of, ends := strings.CutSuffix(of, " --")
		switch {
		case begins && ends:
			name = of
			a.names = append(a.names, name)
			a.files[name] = ""
		case name == "":
			a.comment += line
		default:
			a.files[name] += line
		}
	}
	return a
}

func (a *archive) write(path string) error {
	var b strings.Builder
	b.WriteString(a.comment)
	for _, name := range a.names {
		b.WriteString("-- " + name + " --\n" + a.files[name])
	}
	return os.WriteFile(path, []byte(b.String()), 0o644)
}

// Names of files of an archive that are no input.
const (
	wantTOML = "want.toml"
	wantErr  = "want.err"
	environ  = "environ"
)

// TestGolden adapts lighttpd.conf of each testdata/*.txtar, with the other files beside
// it (a name that ends in a slash is a folder, in .pem a certificate), and compares what comes out with
// want.toml or want.err. DIR is the folder.
func TestGolden(t *testing.T) {
	cases, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(cases) < 60 {
		t.Fatalf("there are %d cases (%v)", len(cases), err)
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			a := parseArchive(string(text))
			out, problem := adaptArchive(t, a)
			name, got := wantTOML, out
			if problem != "" {
				name, got = wantErr, problem
			}
			if *update {
				a.put(name, got)
				if err := a.write(filepath.Join(here, path)); err != nil {
					t.Fatal(err)
				}
			}
			if want, ok := a.files[name]; !ok || want != got {
				t.Errorf("%s is\n%s\nwant\n%s%s", name, got, a.files[wantTOML], a.files[wantErr])
			}
		})
	}
}

// put makes a file the only result.
func (a *archive) put(name, text string) {
	var names []string
	for _, n := range a.names {
		if n != wantTOML && n != wantErr {
			names = append(names, n)
		}
	}
	delete(a.files, wantTOML)
	delete(a.files, wantErr)
	a.names, a.files[name] = append(names, name), text
}

// certificate is one in PEM, with its key.
func certificate(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"a.example"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	out := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return append(out, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})...)
}

// adaptArchive is what comes out of an archive, in a folder of its own.
func adaptArchive(t *testing.T, a *archive) (out, problem string) {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	o := document.Options{Environ: []string{"DIR=" + dir}}
	for _, name := range a.names {
		path := filepath.Join(dir, name)
		switch {
		case name == wantTOML || name == wantErr:
		case name == environ:
			o.Environ = append(o.Environ, strings.Fields(a.files[name])...)
		case name == "allow-include-shell":
			o.Shell = true
		case strings.HasSuffix(name, "/"):
			err = os.MkdirAll(path, 0o755)
		case strings.HasSuffix(name, ".pem"):
			err = os.WriteFile(path, certificate(t), 0o600)
		default:
			if err = os.MkdirAll(filepath.Dir(path), 0o755); err == nil {
				err = os.WriteFile(path, []byte(strings.ReplaceAll(a.files[name], "DIR", dir)), 0o755)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	d, err := Adapt("lighttpd.conf", o)
	if err == nil {
		_, err = d.Config("lighttpd.conf")
	}
	if err != nil {
		return "", strings.ReplaceAll(err.Error(), dir, "DIR") + "\n"
	}
	text := d.Bytes()
	if again := d.Bytes(); !bytes.Equal(text, again) {
		t.Error("the text is another the second time")
	}
	return strings.ReplaceAll(string(text), dir, "DIR"), ""
}
