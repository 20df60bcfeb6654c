package server

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// A page that is a file says nothing of when the file was made: caches would
// keep the error for a tenth of its age.
func TestErrorPageOfAFileHasNoDate(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/www/404.html", strings.Repeat("sorry ", 500))
	s := launch(t, parse(t, dir, `
[[site]]
listen = "127.0.0.1:0"
root = "{dir}/www"
error_pages = { "404" = "/404.html" }
`), newFakeApps())
	for _, coding := range []string{"identity", "gzip"} {
		for _, method := range []string{"GET", "HEAD"} {
			res, _ := ask(t, method, s.url("127.0.0.1:0")+"/none", "Accept-Encoding: "+coding)
			if got := fmt.Sprint(res.Header["Etag"], res.Header["Last-Modified"], res.Header["Accept-Ranges"]); res.StatusCode != http.StatusNotFound || got != "[] [] []" {
				t.Errorf("%s, %s: %d with %s", method, coding, res.StatusCode, got)
			}
		}
	}
}
