package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"mime/multipart"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// production is put behind the settings of startproject.
const production = `
INSTALLED_APPS += ["polls"]
DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1"]
STATIC_ROOT = BASE_DIR / "collected"
`

// startproject makes what a newcomer has after the first page of Django's
// tutorial, in a folder of its own.
func startproject(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	python(t, folder, nil, "-m", "django", "startproject", "mysite", ".")
	return folder
}

// newSite makes a Django project with the app of testdata/polls, its database,
// its static files collected, and a superuser.
func newSite(t *testing.T) string {
	t.Helper()
	folder := startproject(t)
	if err := os.CopyFS(filepath.Join(folder, "polls"), os.DirFS("testdata/polls")); err != nil {
		t.Fatal(err)
	}
	appendTo(t, filepath.Join(folder, "mysite", "settings.py"), production)
	appendTo(t, filepath.Join(folder, "mysite", "urls.py"), "\nfrom django.urls import include\nurlpatterns.append(path('', include('polls.urls')))\n")
	python(t, folder, nil, "manage.py", "makemigrations", "polls")
	python(t, folder, nil, "manage.py", "migrate")
	python(t, folder, nil, "manage.py", "collectstatic", "--noinput")
	python(t, folder, []string{"DJANGO_SUPERUSER_PASSWORD=water"}, "manage.py", "createsuperuser", "--noinput", "--username", "miller", "--email", "miller@example.com")
	return folder
}

func appendTo(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteString(text)
	if err := firstError(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

var (
	stylesheet = regexp.MustCompile(`<link[^>]*rel="stylesheet"[^>]*href="([^"]+)"|<link[^>]*href="([^"]+)"[^>]*rel="stylesheet"`)
	csrfToken  = regexp.MustCompile(`name="csrfmiddlewaretoken" value="([^"]+)"`)
)

// stylesheets fetches each stylesheet of a page and returns how many there were.
func stylesheets(t *testing.T, c *http.Client, page fetched) int {
	t.Helper()
	links := stylesheet.FindAllStringSubmatch(page.text, -1)
	for _, link := range links {
		target, err := page.Request.URL.Parse(link[1] + link[2])
		if err != nil {
			t.Fatal(err)
		}
		css := get(t, c, target.String(), http.StatusOK)
		if kind := css.Header.Get("Content-Type"); !strings.HasPrefix(kind, "text/css") || css.text == "" {
			t.Errorf("%s: %d bytes of %q", target, len(css.text), kind)
		}
	}
	return len(links)
}

// token is the CSRF token of a page with a form.
func token(t *testing.T, page fetched) string {
	t.Helper()
	m := csrfToken.FindStringSubmatch(page.text)
	if m == nil {
		t.Fatalf("no CSRF token in %s:\n%.1000s", page.Request.URL, page.text)
	}
	return m[1]
}

func TestDjangoAdmin(t *testing.T) {
	t.Parallel()
	folder := newSite(t)
	s := start(t, folder, "--venv", venv)
	c := client(t)

	login := get(t, c, s.url+"/admin/", http.StatusOK)
	if got := login.Request.URL.Path; got != "/admin/login/" {
		t.Fatalf("/admin/ leads to %s", got)
	}
	before := s.status().Accepted
	collected, err := os.ReadFile(filepath.Join(folder, "collected", "admin", "css", "base.css"))
	if err != nil {
		t.Fatal(err)
	}
	if n := stylesheets(t, c, login); n < 2 {
		t.Errorf("the login page has %d stylesheets", n)
	}
	if css := get(t, c, s.url+"/static/admin/css/base.css", http.StatusOK); css.text != string(collected) {
		t.Errorf("base.css differs from the collected file: %d bytes, %d", len(css.text), len(collected))
	}
	if after := s.status().Accepted; after != before {
		t.Errorf("%d requests for static files went to the app", after-before)
	}

	form := func(page fetched, values url.Values, status int) fetched {
		t.Helper()
		values.Set("csrfmiddlewaretoken", token(t, page))
		resp, err := c.PostForm(page.Request.URL.String(), values)
		return read(t, resp, err, status)
	}
	refused := form(login, url.Values{"username": {"miller"}, "password": {"wrong"}}, http.StatusOK)
	if refused.Request.URL.Path != "/admin/login/" {
		t.Errorf("a wrong password leads to %s", refused.Request.URL)
	}
	resp, err := c.PostForm(login.Request.URL.String(), url.Values{"username": {"miller"}, "password": {"water"}, "csrfmiddlewaretoken": {"forged"}})
	read(t, resp, err, http.StatusForbidden)

	home := form(login, url.Values{"username": {"miller"}, "password": {"water"}}, http.StatusOK)
	if home.Request.URL.Path != "/admin/" || !strings.Contains(home.text, "Site administration") {
		t.Fatalf("the login leads to %s", home.Request.URL)
	}
	add := get(t, c, s.url+"/admin/polls/question/add/", http.StatusOK)
	const question = "Wie schnell läuft das Wasser? 水 <&>"
	list := form(add, url.Values{"text": {question}, "_save": {"Save"}}, http.StatusOK)
	if list.Request.URL.Path != "/admin/polls/question/" || !strings.Contains(list.text, "was added successfully") {
		t.Fatalf("adding leads to %s", list.Request.URL)
	}
	index := decode[struct{ Questions []string }](t, get(t, c, s.url+"/", http.StatusOK))
	if len(index.Questions) != 1 || index.Questions[0] != question {
		t.Errorf("questions %q", index.Questions)
	}
}

func TestDjangoStraightFromStartproject(t *testing.T) {
	t.Parallel()
	folder := startproject(t)
	python(t, folder, nil, "manage.py", "migrate")
	s := start(t, folder, "--venv", venv)
	c := client(t)
	if page := get(t, c, s.url+"/", http.StatusOK); !strings.Contains(page.text, "The install worked successfully") {
		t.Errorf("the first page:\n%.500s", page.text)
	}
	if n := stylesheets(t, c, get(t, c, s.url+"/admin/", http.StatusOK)); n < 2 {
		t.Errorf("the login page has %d stylesheets", n)
	}
	if banner := s.log.String(); !strings.Contains(banner, "/static/") || !strings.Contains(banner, venv) {
		t.Errorf("the banner names neither /static/ nor the interpreter:\n%s", banner)
	}
}

// random is a stream of size bytes that the same seed gives again.
func random(seed byte, size int64) io.Reader {
	return io.LimitReader(rand.NewChaCha8([32]byte{seed}), size)
}

func TestDjangoUploadTakesNoWorkerUntilComplete(t *testing.T) {
	t.Parallel()
	const size = 200 << 20
	const bound = 100e6 // bytes in the master
	folder := newSite(t)
	s := start(t, folder, "--venv", venv, "--workers", "1")
	c := client(t)
	page := get(t, c, s.url+"/upload/", http.StatusOK)

	body, writer := io.Pipe()
	parts := multipart.NewWriter(writer)
	half := make(chan struct{})   // closed when half of the file was taken
	resume := make(chan struct{}) // closed to send the other half
	digest := sha256.New()
	go func() {
		writer.CloseWithError(func() error {
			for name, value := range map[string]string{"csrfmiddlewaretoken": token(t, page), "note": "a large one"} {
				if err := parts.WriteField(name, value); err != nil {
					return err
				}
			}
			file, err := parts.CreateFormFile("file", "large.bin")
			if err != nil {
				return err
			}
			content := io.TeeReader(random(1, size), digest)
			if _, err := io.CopyN(file, content, size/2); err != nil {
				return err
			}
			close(half)
			<-resume
			if _, err := io.Copy(file, content); err != nil {
				return err
			}
			return parts.Close()
		}())
	}()
	req, err := http.NewRequestWithContext(t.Context(), "POST", page.Request.URL.String(), body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", parts.FormDataContentType())
	type result struct {
		resp *http.Response
		err  error
	}
	done := make(chan result, 1)
	go func() {
		resp, err := c.Do(req)
		done <- result{resp, err}
	}()
	select {
	case <-half:
	case r := <-done:
		t.Fatalf("answered before half was sent: %+v, %v", r.resp, r.err)
	}

	// 100 MB are gone, far more than the sockets' buffers hold. The only
	// worker is free, and answers others.
	s.waitFor("an idle worker half-way", func() bool { st := s.status(); return st.Active == 0 && st.Idle == 1 })
	get(t, client(t), s.url+"/", http.StatusOK)
	s.waitFor("the worker's rest", func() bool { return s.status().Idle == 1 })
	answered := s.status().Answered
	close(resume)

	r := <-done
	got := decode[struct {
		Uploads []struct {
			Name   string
			Size   int64
			SHA256 string
		}
	}](t, read(t, r.resp, r.err, http.StatusOK))
	want := hex.EncodeToString(digest.Sum(nil))
	if len(got.Uploads) != 1 || got.Uploads[0].Name != "a large one" || got.Uploads[0].Size != size || got.Uploads[0].SHA256 != want {
		t.Errorf("stored %+v; want %d bytes, %s", got.Uploads, size, want)
	}
	s.waitFor("the worker's rest", func() bool { return s.status().Idle == 1 })
	if st := s.status(); st.Answered != answered+2 { // the upload and where it leads
		t.Errorf("%d requests answered after half-way; want 2", st.Answered-answered)
	}
	peak := s.peakMemory()
	t.Logf("the master's memory peaked at %d MB", peak/1e6)
	if peak > bound {
		t.Errorf("more than %d MB", int64(bound/1e6))
	}
}

func TestDjangoStreamsTheFirstChunkAtOnce(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	s := start(t, newSite(t), "--venv", venv, "--env", "POLLS_GATE="+g.path)
	resp, err := client(t).Get(s.url + "/stream/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	first := make([]byte, len("first\n"))
	if _, err := io.ReadFull(resp.Body, first); err != nil || string(first) != "first\n" {
		t.Fatalf("first chunk %q, %v", first, err)
	}
	// The second does not exist yet: the word in it is given now.
	g.open("sesame")
	rest, err := io.ReadAll(resp.Body)
	if err != nil || string(rest) != "second: sesame\n" {
		t.Errorf("then %q, %v", rest, err)
	}
}

func TestDjangoSlowView(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	s := start(t, newSite(t), "--venv", venv, "--workers", "2", "--env", "POLLS_GATE="+g.path)
	slow := make(chan string, 1)
	c := client(t)
	go func() {
		resp, err := c.Get(s.url + "/slow/")
		if err != nil {
			slow <- err.Error()
			return
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		slow <- fmt.Sprint(resp.StatusCode, " ", string(text), " ", err)
	}()
	s.waitFor("the slow view runs", func() bool {
		for _, w := range s.status().Workers {
			if w.Running == "GET /slow/" {
				return true
			}
		}
		return false
	})
	for range 50 {
		get(t, client(t), s.url+"/", http.StatusOK)
	}
	if st := s.status(); st.Active != 1 {
		t.Errorf("%d workers active; want the slow view's", st.Active)
	}
	g.open("done")
	if got := <-slow; got != "200 slow: done <nil>" {
		t.Errorf("the slow view: %s", got)
	}
}

func TestDjangoRootsThatAreNeverServed(t *testing.T) {
	t.Parallel()
	folder := newSite(t)
	appendTo(t, filepath.Join(folder, "mysite", "settings.py"), "\nMEDIA_ROOT = BASE_DIR\nMEDIA_URL = 'media/'\n")
	if err := os.WriteFile(filepath.Join(folder, "collected", ".env"), []byte("SECRET"), 0o644); err != nil {
		t.Fatal(err)
	}
	s := start(t, folder, "--venv", venv)
	c := client(t)
	for _, path := range []string{"/media/manage.py", "/media/mysite/settings.py", "/media/db.sqlite3", "/static/.env", "/static/../manage.py", "/static/%2e%2e/manage.py", "/static/..%2fmanage.py"} {
		req, err := http.NewRequest("GET", s.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.URL.Opaque = path // as it is: the client would clean it
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusNotFound && resp.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %s, %v\n%.200s", path, resp.Status, err, text)
		}
	}
	if !strings.Contains(s.log.String(), "MEDIA_ROOT is not served") {
		t.Errorf("the banner does not say that MEDIA_ROOT is not served:\n%s", s.log)
	}
}

func TestDjangoSettingsThatFailAreShownAndMended(t *testing.T) {
	t.Parallel()
	folder := startproject(t)
	settings := filepath.Join(folder, "mysite", "settings.py")
	good, err := os.ReadFile(settings)
	if err != nil {
		t.Fatal(err)
	}
	appendTo(t, settings, "\nraise RuntimeError('no water in the settings')\n")
	s := launch(t, folder, "--venv", venv)
	s.waitFor("the traceback", func() bool { return strings.Contains(s.log.String(), "no water in the settings") })
	s.waitFor("the address", func() bool { return s.log.Has(bannerURL) })
	s.url = bannerURL.FindString(s.log.String())
	get(t, client(t), s.url+"/", http.StatusServiceUnavailable)

	if err := os.WriteFile(settings, append(good, "# mended\n"...), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	c := client(t)
	s.waitFor("the mended site", func() bool {
		resp, err := c.Get(s.url + "/")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		return err == nil && resp.StatusCode == http.StatusOK && bytes.Contains(text, []byte("The install worked"))
	})
	// The reload asked Django again: its static files are served too, a moment
	// after the app is.
	s.waitFor("the static files", func() bool {
		resp, err := c.Get(s.url + "/static/admin/css/base.css")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}
