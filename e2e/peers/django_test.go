package peers

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"

	"millrace/internal/testkit"
)

// TestDjangoStockParams: nginx's parameters as Debian ships them, unedited, in
// front of Django.
func TestDjangoStockParams(t *testing.T) {
	a := startApp(t, "wsgi = \"website:application\"\nworkers = 2", "django")
	host := testkit.Loopback()
	var servers strings.Builder
	var addresses []string
	ways := []string{"fastcgi", "scgi", "uwsgi"}
	for i, protocol := range ways {
		address := fmt.Sprintf("%s:%d", host, 8700+i)
		fmt.Fprintf(&servers, "server { listen %s; location / { include /etc/nginx/%[2]s_params; %[2]s_pass unix:%s; } }\n", address, protocol, a.unix(protocol))
		addresses = append(addresses, address)
	}
	startNginx(t, testkit.ShortDir(t), servers.String(), addresses...)
	c := client(t)
	for i, protocol := range ways {
		t.Run(protocol, func(t *testing.T) {
			url := "http://" + addresses[i]
			if resp, text := send(t, c, "GET", url+"/", nil, nil); resp.StatusCode != 200 || string(text) != "the root" {
				t.Errorf("/: %s %q", resp.Status, text)
			}
			resp, _ := send(t, c, "GET", url+"/away/", nil, nil)
			if got := resp.Header.Get("Location"); resp.StatusCode != 302 || got != "/page/home/" {
				t.Errorf("redirect: %s to %q", resp.Status, got)
			}
			// CommonMiddleware puts the slash that is missing.
			resp, _ = send(t, c, "GET", url+"/away", nil, nil)
			if got := resp.Header.Get("Location"); resp.StatusCode != 301 || got != "/away/" {
				t.Errorf("slash: %s to %q", resp.Status, got)
			}
			page := func(method, uri string, header http.Header, body []byte) map[string]any {
				t.Helper()
				resp, text := send(t, c, method, url+uri, header, bytes.NewReader(body))
				var m map[string]any
				if err := json.Unmarshal(text, &m); err != nil || resp.StatusCode != 200 {
					t.Fatalf("%s %s: %s %.200s", method, uri, resp.Status, text)
				}
				return m
			}
			m := page("GET", "/page/caf%C3%A9%20au%20lait/?x=1&y=%C3%BC", nil, nil)
			if m["name"] != "café au lait" || m["path"] != "/page/café au lait/" || m["script"] != "" || m["home"] != "/page/home/" ||
				m["uri"] != "http://"+host+"/page/caf%C3%A9%20au%20lait/?x=1&y=%C3%BC" { // Debian's parameters leave the port out of HTTP_HOST
				t.Errorf("%v", m)
			}
			if got := m["get"].(map[string]any); got["x"] != "1" || got["y"] != "ü" {
				t.Errorf("GET %v", got)
			}
			var form bytes.Buffer
			parts := multipart.NewWriter(&form)
			big := bytes.Repeat([]byte("0123456789abcdef"), 10<<20/16)
			w, err := parts.CreateFormFile("paper", "paper.bin")
			if err != nil {
				t.Fatal(err)
			}
			_, _ = w.Write(big)
			_ = parts.WriteField("title", "größer")
			parts.Close()
			m = page("POST", "/page/up/", http.Header{"Content-Type": {parts.FormDataContentType()}}, form.Bytes())
			sum := sha256.Sum256(big)
			if m["post"].(map[string]any)["title"] != "größer" || m["files"].(map[string]any)["paper"] != hex.EncodeToString(sum[:]) {
				t.Errorf("%v", m)
			}
		})
	}
}
