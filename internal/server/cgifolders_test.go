package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"millrace/gateway"
	"millrace/internal/supervise"
)

const cgiSite = `
[[site]]
listen = ["127.0.0.1:0"]
root = "{dir}/public"
[[site.route]]
path = "/cgi-bin/*"
cgi = { root = "{dir}/bin", strip = "/cgi-bin", interpreters = { ".pl" = "perl" }, env = { MINE = "yes" }, timeout = "2s", max_children = 2, queue_timeout = "300ms" }
[[site.route]]
cgi = { root = "{dir}/public", extensions = [".cgi"], index = "index.cgi", exclude = ["/up/*"] }
`

// executable makes an executable file.
func executable(t *testing.T, path, text string) {
	t.Helper()
	write(t, path, text)
	if err := os.Chmod(path, 0o755); err != nil {
		t.Fatal(err)
	}
}

const cgiSays = "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n'\n"

func TestCGIFolders(t *testing.T) {
	dir := t.TempDir()
	executable(t, dir+"/bin/env", cgiSays+`echo "$SCRIPT_NAME $PATH_INFO $PATH_TRANSLATED $DOCUMENT_ROOT $QUERY_STRING $REQUEST_METHOD $MINE $HTTP_PROXY [$*] $(pwd) $0 $SCRIPT_FILENAME $GATEWAY_INTERFACE"`)
	executable(t, dir+"/bin/body", cgiSays+"cat; wc -c < /dev/null >/dev/null; echo \" $CONTENT_LENGTH\"")
	executable(t, dir+"/bin/status", "#!/bin/sh\nprintf 'Status: 418 Teapot\\nX-A: b\\n\\n'")
	executable(t, dir+"/bin/local", "#!/bin/sh\nprintf 'Location: /x.txt\\n\\n'")
	executable(t, dir+"/bin/loop", "#!/bin/sh\nprintf 'Location: /cgi-bin/loop\\n\\n'")
	executable(t, dir+"/bin/broken", "#!/no/such/interpreter\n")
	executable(t, dir+"/bin/dies", "#!/bin/sh\necho why it dies >&2\nexit 3")
	executable(t, dir+"/bin/hangs", "#!/bin/sh\necho $$ >"+dir+"/pid\nsleep 100")
	executable(t, dir+"/bin/slow", cgiSays+"sleep 1; echo done")
	write(t, dir+"/bin/README", "not a program")
	write(t, dir+"/bin/a.pl", `print "Content-Type: text/plain\n\n$0 $ENV{PATH_INFO}\n"`)
	executable(t, dir+"/public/sub/index.cgi", cgiSays+"echo index of $SCRIPT_NAME")
	executable(t, dir+"/public/up/evil.cgi", cgiSays+"echo evil")
	write(t, dir+"/public/plain.cgi", "text")
	write(t, dir+"/public/x.txt", "a file")
	s := launch(t, parse(t, dir, cgiSite), newFakeApps())
	url := s.url("127.0.0.1:0")
	for path, want := range map[string]string{
		"/cgi-bin/env/a%20b?x=1": fmt.Sprintf("/cgi-bin/env /a b %s/public/a b %[1]s/public x=1 GET yes  [] %[1]s/bin %[1]s/bin/env %[1]s/bin/env CGI/1.1", dir),
		"/cgi-bin/env?one+two":   fmt.Sprintf("/cgi-bin/env   %s/public one+two GET yes  [one two] %[1]s/bin %[1]s/bin/env %[1]s/bin/env CGI/1.1", dir),
		"/cgi-bin/a.pl/x":        dir + "/bin/a.pl /x",
		"/cgi-bin/local":         "a file",
		"/sub/":                  "index of /sub/index.cgi",
		"/x.txt":                 "a file",
	} {
		wantGet(t, url+path, 200, want)
	}
	for path, want := range map[string]int{
		"/cgi-bin/README": 403, "/plain.cgi": 403, "/up/evil.cgi": 404, "/none.cgi": 404, "/cgi-bin/none": 404, "/cgi-bin/status": 418, "/cgi-bin/broken": 502,
		"/cgi-bin/dies": 502, "/cgi-bin/": 404, "/cgi-bin/env%00": 400, "/cgi-bin/../bin/env": 400, "/cgi-bin/loop": 502,
	} {
		if code, text := get(t, url+path); code != want {
			t.Errorf("%s: %d %q, want %d", path, code, text, want)
		}
	}
	// After one that does not start the others do.
	resp, err := http.Post(url+"/cgi-bin/body", "text/plain", strings.NewReader(strings.Repeat("b", 300_000)))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil || strings.TrimSpace(string(text)) != strings.Repeat("b", 300_000)+" 300000" {
		t.Errorf("a body of %d bytes comes back, %v", len(text), err)
	}
	eventually(t, "what a program says is logged", func() bool { return strings.Contains(s.log.String(), "why it dies") })
	began := time.Now()
	if code, _ := get(t, url+"/cgi-bin/hangs"); code != 504 || time.Since(began) > 8*time.Second {
		t.Errorf("one that hangs: %d after %v", code, time.Since(began))
	}
	pid, err := os.ReadFile(dir + "/pid")
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the program that hung is gone", func() bool {
		_, err := os.Stat("/proc/" + strings.TrimSpace(string(pid)))
		return os.IsNotExist(err)
	})
	// No more than two at a time.
	codes := make(chan int, 6)
	for range 6 {
		go func() { code, _ := get(t, url+"/cgi-bin/slow"); codes <- code }()
	}
	count := map[int]int{}
	for range 6 {
		count[<-codes]++
	}
	of := s.Snapshot().Upstreams
	if len(of) != 2 || of[0].Name != dir+"/bin" || of[0].Protocol != "cgi" || of[0].Servers[0].Answered == 0 || !of[0].Servers[0].Reached {
		t.Errorf("the status has %+v", of)
	}
	if count[200] != 2 || count[503] != 4 {
		t.Errorf("of six at a time: %v, want two 200 and four 503", count)
	}
}

// noStarter starts nothing.
type noStarter struct{ err error }

func (s noStarter) Start(supervise.Start) (supervise.Process, error) { return nil, s.err }

// That one program does not start says nothing of the others of its folder.
func TestCGIStartFails(t *testing.T) {
	ctx := context.WithValue(t.Context(), cgiProgramKey{}, &cgiProgramOf{file: "/srv/a.cgi", rel: "a.cgi"})
	for name, c := range map[string]struct {
		err  error
		want int
	}{
		"missing": {os.ErrNotExist, 502}, "refused": {&supervise.Refusal{Reason: "it may be written by others"}, 403}, "busy": {syscall.EAGAIN, 503}, "large": {syscall.E2BIG, 431},
	} {
		p := &cgiPrograms{command: &supervise.Command{Name: "cgi"}, starter: noStarter{c.err}, log: slog.New(slog.DiscardHandler)}
		_, err := p.RoundTrip(ctx, &gateway.Request{})
		if got := gateway.StatusOf(err); got != c.want || errors.Is(err, gateway.ErrUnreachable) || !strings.Contains(err.Error(), c.err.Error()) {
			t.Errorf("%s: %d, %v", name, got, err)
		}
	}
	if _, err := (&cgiPrograms{}).RoundTrip(t.Context(), &gateway.Request{}); err == nil {
		t.Error("a request for no program is answered")
	}
}
