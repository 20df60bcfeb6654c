package server

import (
	"strings"
	"testing"
)

// A route that sends to a group lets in only those it is to let in, though the
// group itself has no guard.
func TestGuardedGroup(t *testing.T) {
	s := launch(t, parse(t, t.TempDir(), `
[[site]]
listen = "127.0.0.1:0"

[[site.route]]
path = "/closed/*"
rewrite = "/open/x"
goto = "inside"
basic_auth = { users = { ann = "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=" } }

[[site.route]]
path = "/mine"
goto = "inside"
deny = ["127.0.0.1"]

[[site.route]]
path = "/within/*"
goto = "inside"
internal = true

[[site.route]]
path = "/round"
goto = "round"
allow = ["127.0.0.1"]

[[site.route]]
group = "round"
goto = "round"
allow = ["127.0.0.1"]

[[site.route]]
group = "inside"
respond = "inside {path}"

[[site.route]]
goto = "inside"
`), newFakeApps())
	for _, test := range []struct{ path, header, want string }{
		{"/closed/a", "X: y", "401 "}, {"/closed/a", "Authorization: Basic YW5uOnNlY3JldA==", "200 inside /open/x"},
		{"/mine", "X: y", "403 "}, {"/within/a", "X: y", "200 inside /within/a"}, {"/round", "X: y", "500 "}, {"/else", "X: y", "200 inside /else"},
	} {
		res, body := ask(t, "GET", s.url("127.0.0.1:0")+test.path, test.header)
		if got := res.Status[:4] + strings.TrimSpace(body); !strings.HasPrefix(got, test.want) {
			t.Errorf("%s: %s, want %s", test.path, got, test.want)
		}
	}
}
