package server

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"

	"millrace/fcgi"
	"millrace/gateway"
)

// echoing is a FastCGI back end that answers with some parameters.
func echoing(t *testing.T) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &fcgi.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		params := gateway.FrontOf(r.Context()).Params
		for _, name := range []string{"SCRIPT_NAME", "PATH_INFO", "SCRIPT_FILENAME", "DOCUMENT_ROOT", "PATH_TRANSLATED", "REDIRECT_STATUS"} {
			value, ok := gateway.Lookup(params, name)
			if !ok {
				value = "-"
			}
			fmt.Fprint(w, value, " ")
		}
	})}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close() })
	return l.Addr().String()
}

const scriptSite = `
[[site]]
listen = ["127.0.0.1:0"]
[[site.route]]
path = "/wiki/*"
mount = "/wiki"
upstream = "php"
script = { root = "{dir}/wiki", front = "index.php", app_root = "/var/www" }
[[site.route]]
upstream = "php"
script = { root = "{dir}/www", exclude = ["/uploads/*"] }
[[site.route]]
files = { root = "{dir}/www" }
[upstream.php]
protocol = "fastcgi"
servers = "ADDRESS"
`

func TestScripts(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"wiki/index.php", "wiki/a.php", "wiki/sub/index.php", "wiki/pic.jpg", "www/index.php", "www/b.php", "www/pic.jpg", "www/sub/index.php", "www/plain/index.html", "www/uploads/evil.php", "www/uploads/pic.jpg"} {
		write(t, dir+"/"+name, "text of "+name)
	}
	real, err := os.Readlink(dir)
	if err != nil {
		real = dir
	}
	s := launch(t, parse(t, dir, strings.Replace(scriptSite, "ADDRESS", echoing(t), 1)), newFakeApps())
	url := s.url("127.0.0.1:0")
	www := real + "/www"
	for path, want := range map[string]string{
		"/":                "/index.php  " + www + "/index.php " + www + " - 200",
		"/b.php/x%20y":     "/b.php /x y " + www + "/b.php " + www + " " + www + "/x y 200",
		"/sub/":            "/sub/index.php  " + www + "/sub/index.php " + www + " - 200",
		"/pic.jpg":         "text of www/pic.jpg",
		"/plain/":          "text of www/plain/index.html",
		"/uploads/pic.jpg": "text of www/uploads/pic.jpg",
		"/wiki/a.php/Page": "/wiki/a.php /Page /var/www/a.php /var/www /var/www/Page 200",
		"/wiki/":           "/wiki/index.php  /var/www/index.php /var/www - 200",
		"/wiki/Some_Page":  "/wiki/index.php  /var/www/index.php /var/www - 200",
		"/wiki/none.php":   "/wiki/index.php  /var/www/index.php /var/www - 200",
	} {
		wantGet(t, url+path, 200, want)
	}
	for path, want := range map[string]int{
		"/none.php": 404, "/pic.jpg/x.php": 404, "/uploads/evil.php": 404, "/UPLOADS/evil.php": 404, "/b.php%00": 400, "/b.php/%0a": 400, "/none": 404, "/.php": 404,
		"/%2e%2e/b.php": 400, "/wiki/pic.jpg": 404, // of the route below, whose root has none such
	} {
		if code, text := get(t, url+path); code != want {
			t.Errorf("%s: %d %q, want %d", path, code, text, want)
		}
	}
	for path, want := range map[string]string{"/sub?x=1": "/sub/?x=1", "//sub": "/sub/", "/wiki/sub": "/wiki/sub/"} {
		if code, location := rawGet(t, strings.TrimPrefix(url, "http://"), path); code != 301 || location != want {
			t.Errorf("%s: %d to %q, want %q", path, code, location, want)
		}
	}
}

// rawGet asks for a path as it is, and returns where the answer leads.
func rawGet(t *testing.T, address, path string) (code int, location string) {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", path)
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	return resp.StatusCode, resp.Header.Get("Location")
}
