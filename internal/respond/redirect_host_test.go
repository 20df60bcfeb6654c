package respond

import (
	"net/http/httptest"
	"net/url"
	"testing"

	"millrace/internal/placeholder"
)

// No value makes the host of a redirect another one.
func TestRedirectKeepsItsHost(t *testing.T) {
	for _, tt := range []struct{ to, group, want string }{
		{"https://shop.example{1}", ".evil.example/x", "https://shop.example/.evil.example/x"},
		{"https://shop.example{1}", "@evil.example", "https://shop.example/@evil.example"},
		{"https://shop.example{1}", ":81", "https://shop.example/:81"},
		{"https://shop.example{1}?{query}", "@evil.example", "https://shop.example/@evil.example?q=1"},
		{"https://shop.example{1}", "/a/b", "https://shop.example/a/b"},
		{"https://shop.example{1}", "", "https://shop.example"},
		{"{scheme}://shop.example{1}/x", "-y", "http://shop.example/-y/x"},
		{"//shop.example{1}", ".z", "//shop.example/.z"},
		{"https://shop.example{uri}", "", "https://shop.example/p?q=1"},
		{"https://shop{1}.example/", "2", "https://shop2.example/"},
		{"https://{1}.shop.example{path}", "a", "https://a.shop.example/p"},
		{"https://shop.example:{1}/", "81", "https://shop.example:81/"},
		{"https://shop.example/a{1}", ".b", "https://shop.example/a.b"},
	} {
		to, err := placeholder.Parse(tt.to, placeholder.Scope{Groups: 1})
		if err != nil {
			t.Fatal(err)
		}
		r, found := placeholder.Keep(httptest.NewRequest("GET", "/p?q=1", nil))
		found.Groups = []string{"", tt.group}
		w := httptest.NewRecorder()
		(&Redirect{To: to, Status: 302}).ServeHTTP(w, r)
		if got := w.Header().Get("Location"); got != tt.want {
			t.Errorf("%s with %q: %q, want %q", tt.to, tt.group, got, tt.want)
		}
		if _, err := url.Parse(tt.want); err != nil {
			t.Error(err)
		}
	}
}
