//go:build unix

package static

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// browser is a headless Chromium, driven over its debugging pipe.
type browser struct {
	t       *testing.T
	to      *os.File
	from    *bufio.Reader
	session string
	number  int
	loaded  int // pages, so far
}

// message is a request, an answer or an event.
type message struct {
	ID        int             `json:"id,omitempty"`
	SessionID string          `json:"sessionId,omitempty"`
	Method    string          `json:"method,omitempty"`
	Params    any             `json:"params,omitempty"`
	Result    json.RawMessage `json:"result,omitempty"`
	Error     *struct {
		Message string `json:"message"`
	} `json:"error,omitempty"`
}

// newBrowser starts Chromium with one empty page. Where it is not installed,
// the test is skipped; scripts/setup.sh bench installs it.
func newBrowser(t *testing.T) *browser {
	program, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("chromium is not installed: scripts/setup.sh bench installs it")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	theirIn, ourOut, err1 := os.Pipe()
	ourIn, theirOut, err2 := os.Pipe()
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	cmd := exec.CommandContext(ctx, program, "--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu",
		"--disable-dev-shm-usage", "--no-first-run", "--disable-extensions", "--disable-background-networking", "--hide-scrollbars",
		"--user-data-dir="+filepath.Join(t.TempDir(), "profile"))
	cmd.ExtraFiles = []*os.File{theirIn, theirOut} // 3 and 4
	var log strings.Builder
	cmd.Stderr = &log
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	theirIn.Close()
	theirOut.Close()
	b := &browser{t: t, to: ourOut, from: bufio.NewReaderSize(ourIn, 1<<20)}
	t.Cleanup(func() {
		ourOut.Close() // it ends
		cmd.Wait()
		cancel()
		ourIn.Close()
		if t.Failed() {
			t.Logf("chromium: %.2000s", log.String())
		}
	})
	var target struct{ TargetID string }
	b.call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct{ SessionID string }
	b.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	b.session = attached.SessionID
	b.call("Page.enable", nil, nil)
	return b
}

// call sends one command and waits for its answer.
func (b *browser) call(method string, params, result any) {
	b.t.Helper()
	b.number++
	text, err := json.Marshal(message{ID: b.number, SessionID: b.session, Method: method, Params: params})
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.to.Write(append(text, 0)); err != nil {
		b.t.Fatalf("%s: chromium has ended: %v", method, err)
	}
	for {
		m := b.next()
		if m.ID != b.number {
			continue
		}
		if m.Error != nil {
			b.t.Fatalf("%s: %s", method, m.Error.Message)
		}
		if result != nil {
			if err := json.Unmarshal(m.Result, result); err != nil {
				b.t.Fatal(err)
			}
		}
		return
	}
}

// next is the next answer or event.
func (b *browser) next() message {
	b.t.Helper()
	text, err := b.from.ReadBytes(0)
	if err != nil {
		b.t.Fatalf("chromium has ended: %v", err)
	}
	var m message
	if err := json.Unmarshal(text[:len(text)-1], &m); err != nil {
		b.t.Fatal(err)
	}
	switch m.Method {
	case "Page.loadEventFired":
		b.loaded++
	case "Page.javascriptDialogOpening":
		b.t.Fatal("a script ran in the listing")
	}
	return m
}

// loads waits for the page that do leads to.
func (b *browser) loads(do func()) {
	b.t.Helper()
	before := b.loaded
	do()
	for b.loaded == before {
		b.next()
	}
}

func (b *browser) open(url string) {
	b.t.Helper()
	b.loads(func() { b.call("Page.navigate", map[string]any{"url": url}, nil) })
}

// eval is the value of an expression in the page.
func eval[T any](b *browser, expression string) T {
	b.t.Helper()
	var result struct {
		Result struct {
			Value       T
			Description string
		}
		ExceptionDetails *struct{ Text string }
	}
	b.call("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true}, &result)
	if result.ExceptionDetails != nil {
		b.t.Fatalf("%s: %s %s", expression, result.ExceptionDetails.Text, result.Result.Description)
	}
	return result.Result.Value
}

// screen is what a reader holds.
func (b *browser) screen(width, height int, phone, dark bool) {
	b.t.Helper()
	b.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone}, nil)
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	b.call("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}}}, nil)
}

// shoot keeps a picture where MILLRACE_SCREENSHOTS says.
func (b *browser) shoot(name string) {
	b.t.Helper()
	folder := os.Getenv("MILLRACE_SCREENSHOTS")
	if folder == "" {
		return
	}
	var shot struct{ Data string }
	b.call("Page.captureScreenshot", map[string]any{"format": "png"}, &shot)
	data, err := base64.StdEncoding.DecodeString(shot.Data)
	if err == nil {
		err = os.WriteFile(filepath.Join(folder, name+".png"), data, 0o644)
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

// contrast is that of two colours (WCAG 2.2, 1.4.3), as a script.
const contrast = `(a, b) => {
	const light = c => { const [r, g, b] = c.match(/[0-9.]+/g).map(x => (x /= 255) <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b };
	const [x, y] = [light(a), light(b)].sort((p, q) => q - p); return (x + 0.05) / (y + 0.05) }`

// A listing on a phone and on a desk, by day and by night: it fits, it can be
// read and touched, it sorts without a script, and no name runs one.
func TestListingInBrowser(t *testing.T) {
	b := newBrowser(t)
	files := map[string]string{
		"photos/": "", "holiday 2026/day 1/x": "x", "backup.tar.gz": strings.Repeat("x", 3_000_000), "film.mp4": strings.Repeat("x", 45_000),
		"song.mp3": "x", "notes.txt": "some notes", "Report 2.pdf": strings.Repeat("x", 1234), "Report 10.pdf": "x", "IMG_1.jpg": "x",
		"<img src=x onerror=alert(1)>": "x", `" onmouseover="alert(1)`: "x", "javascript:alert(1)": "x", "<script>alert(1)<": "x",
		"ä ö ü 文件 名.txt": "x", strings.Repeat("a_name_without_blanks_", 8): "x", "a & b.txt": "x",
	}
	for i := range 60 {
		files[fmt.Sprintf("big/file %d", i)] = strings.Repeat("x", i)
	}
	h := handler(t, Options{Roots: []string{tree(t, files)}, Listing: &Listing{Page: 25}})
	srv := httptest.NewServer(h)
	defer srv.Close()
	for _, screen := range []struct {
		name          string
		width, height int
		phone, dark   bool
	}{
		{"phone", 390, 844, true, false}, {"phone-dark", 390, 844, true, true},
		{"desktop", 1280, 900, false, false}, {"desktop-dark", 1280, 900, false, true},
	} {
		b.screen(screen.width, screen.height, screen.phone, screen.dark)
		for _, path := range []string{"/", "/big/", "/holiday%202026/day%201/", "/photos/", "/big/?q=none"} {
			b.open(srv.URL + path)
			if wide := eval[int](b, "document.scrollingElement.scrollWidth"); wide > screen.width {
				t.Errorf("%s %s: %d px wide", screen.name, path, wide)
			}
			if n := eval[int](b, "document.scripts.length"); n != 0 {
				t.Errorf("%s: %d scripts", path, n)
			}
			if look := eval[string](b, `getComputedStyle(document.querySelector("main")).maxWidth`); look != "1024px" {
				t.Errorf("%s: the style does not hold: max-width %q", path, look)
			}
			// What is touched is large enough: rows as a whole, and the links above and below.
			if low := eval[float64](b, `Math.min(1000, ...[...document.querySelectorAll("tbody tr")].map(e => e.getBoundingClientRect().height))`); low < 44 {
				t.Errorf("%s %s: a row is %v px high", screen.name, path, low)
			}
			for _, pair := range [][2]string{{"td.name a", "body"}, {"td.time", "body"}, {"th a", "body"}, {"h1 span", "body"}, {"footer", "body"}, {"button", "button"}} {
				script := fmt.Sprintf(`(() => { const e = document.querySelector(%q); return e ? (%s)(getComputedStyle(e).color, getComputedStyle(document.querySelector(%q)).backgroundColor) : 99 })()`, pair[0], contrast, pair[1])
				if c := eval[float64](b, script); c < 4.5 {
					t.Errorf("%s %s: %s has contrast %.1f", screen.name, path, pair[0], c)
				}
			}
			b.shoot(screen.name + strings.NewReplacer("/", "-", "?", "-", "%20", "-").Replace(path))
		}
	}
	// It sorts by a click.
	b.open(srv.URL + "/")
	b.loads(func() { eval[any](b, `document.querySelector("th.size a").click()`) })
	if first := eval[string](b, `[...document.querySelectorAll("td.name span")].map(e => e.textContent).find(s => !s.endsWith("/"))`); first != "backup.tar.gz" {
		t.Errorf("by size the first is %q", first)
	}
	if sorted := eval[string](b, `document.querySelector("th.size").getAttribute("aria-sort")`); sorted != "descending" {
		t.Errorf("aria-sort is %q", sorted)
	}
	// Each link leads where it says.
	links := eval[[]string](b, `[...document.querySelectorAll("td.name a")].map(e => e.href)`)
	if len(links) != 17 {
		t.Errorf("%d links, want 17: %q", len(links), links)
	}
	for _, link := range links {
		if !strings.HasPrefix(link, srv.URL+"/") {
			t.Errorf("a link leads to %q", link)
			continue
		}
		resp, err := srv.Client().Get(link)
		if err != nil {
			t.Error(err)
			continue
		}
		resp.Body.Close()
		if resp.StatusCode != 200 {
			t.Errorf("%s: %s", link, resp.Status)
		}
	}
}
