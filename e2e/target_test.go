package e2e

import (
	"bytes"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// upload posts one file and fields as a form does.
func upload(t *testing.T, c *http.Client, url, field, text string, values map[string]string) fetched {
	t.Helper()
	var body bytes.Buffer
	parts := multipart.NewWriter(&body)
	for name, value := range values {
		if err := parts.WriteField(name, value); err != nil {
			t.Fatal(err)
		}
	}
	file, err := parts.CreateFormFile(field, "paper.txt")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := parts.Close(); err != nil {
		t.Fatal(err)
	}
	resp, err := c.Post(url, parts.FormDataContentType(), &body)
	return read(t, resp, err, http.StatusOK)
}

// frameworks is a folder with the apps of testdata/frameworks.
func frameworks(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	if err := os.CopyFS(folder, os.DirFS("testdata/frameworks")); err != nil {
		t.Fatal(err)
	}
	return folder
}

func TestFlask(t *testing.T) {
	s := start(t, frameworks(t), "--venv", venv, "shop:app")
	c := client(t)
	get(t, c, s.url+"/", http.StatusOK)
	// A session cookie, a query, a redirect.
	got := decode[struct {
		Visits int
		Name   string
	}](t, get(t, c, s.url+"/away", http.StatusOK))
	if got.Visits != 2 || got.Name != "back" {
		t.Errorf("%+v", got)
	}
	order := decode[struct {
		Number           int
		Kind, Name, Text string
	}](t, upload(t, c, s.url+"/order/7", "paper", "grind this", map[string]string{"kind": "flour"}))
	if order.Number != 7 || order.Kind != "flour" || order.Name != "paper.txt" || order.Text != "grind this" {
		t.Errorf("%+v", order)
	}
	if text := get(t, c, s.url+"/count", http.StatusOK).text; text != "0\n1\n2\n" {
		t.Errorf("a generator gave %q", text)
	}
	get(t, c, s.url+"/missing", http.StatusNotFound)
	get(t, c, s.url+"/broken", http.StatusInternalServerError)
	s.waitFor("the exception in the log", func() bool { return strings.Contains(s.log.String(), "the shop is broken") })
}

func TestCherryPy(t *testing.T) {
	s := start(t, frameworks(t), "--venv", venv, "garage:application")
	c := client(t)
	if text := get(t, c, s.url+"/?name=Zoe", http.StatusOK).text; text != "garage of Zoe" {
		t.Errorf("%q", text)
	}
	got := decode[map[string]string](t, upload(t, c, s.url+"/park", "photo", "click", map[string]string{"plate": "M 1"}))
	if got["plate"] != "M 1" || got["photo"] != "click" || got["method"] != "POST" {
		t.Errorf("%v", got)
	}
	if text := get(t, c, s.url+"/cars", http.StatusOK).text; text != "car 0\ncar 1\ncar 2\n" {
		t.Errorf("a stream gave %q", text)
	}
	get(t, c, s.url+"/nowhere", http.StatusNotFound)
}

func TestDemo(t *testing.T) {
	s := start(t, t.TempDir(), "--venv", venv)
	c := client(t)
	page := get(t, c, s.url+"/a/%3Cb%3E?x=%3Cscript%3E", http.StatusOK)
	for _, part := range []string{"millrace runs", `name="viewport"`, "PATH_INFO", "/a/&lt;b&gt;"} {
		if !strings.Contains(page.text, part) {
			t.Errorf("the page lacks %q", part)
		}
	}
	if strings.Contains(page.text, "<script>") || strings.Contains(page.text, "<b>") {
		t.Error("the page shows a value unescaped")
	}
	environ := decode[map[string]string](t, get(t, c, s.url+"/a/b?json", http.StatusOK))
	for name, want := range map[string]string{"REQUEST_METHOD": "GET", "PATH_INFO": "/a/b", "SCRIPT_NAME": "", "QUERY_STRING": "json", "wsgi.version": "(1, 0)"} {
		if got := environ[name]; got != want {
			t.Errorf("%s is %q; want %q", name, got, want)
		}
	}
	if _, ok := environ[marker]; ok {
		t.Errorf("environ shows the process environment: %s", marker)
	}
}

func TestFolderWithWSGIFile(t *testing.T) {
	folder := t.TempDir()
	script := "def app(environ, start_response):\n    start_response('200 OK', [('Content-Type', 'text/plain')])\n    return [b'from app']\n"
	if err := os.WriteFile(filepath.Join(folder, "app.py"), []byte(script), 0o644); err != nil {
		t.Fatal(err)
	}
	s := start(t, folder, "--venv", venv)
	if text := get(t, client(t), s.url+"/", http.StatusOK).text; text != "from app" {
		t.Errorf("%q", text)
	}
}

func TestConfigFile(t *testing.T) {
	folder := frameworks(t)
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("public/index.html", "the front page")
	write("public/files/mill.zip", "PK")
	write("millrace.toml", `
[[site]]
listen = ["127.0.0.1:0"]

[[site.route]]
path = "/shop/*"
app = "shop"
mount = "/shop"

[[site.route]]
regexp = '^/(cars|park)$'
app = "garage"

[[site.route]]
files = { root = "public" }

[app.shop]
wsgi = "shop:app"
venv = "`+venv+`"
workers = 1

[app.garage]
wsgi = "garage:application"
venv = "`+venv+`"
workers = 1
`)
	s := start(t, folder)
	c := client(t)
	if text := get(t, c, s.url+"/", http.StatusOK).text; text != "the front page" {
		t.Errorf("%q", text)
	}
	if kind := get(t, c, s.url+"/files/mill.zip", http.StatusOK).Header.Get("Content-Type"); kind != "application/zip" {
		t.Errorf("a .zip is %q", kind)
	}
	if text := get(t, c, s.url+"/shop/count", http.StatusOK).text; text != "0\n1\n2\n" {
		t.Errorf("%q", text)
	}
	if text := get(t, c, s.url+"/cars", http.StatusOK).text; text != "car 0\ncar 1\ncar 2\n" {
		t.Errorf("%q", text)
	}
	get(t, c, s.url+"/shop.py", http.StatusNotFound)
}
