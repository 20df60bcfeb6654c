package server

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// What a hostile case leads to, beside a status.
const (
	cutShort = 1 // the client sees that the response was cut
	tolerant = 2 // whatever of these, and no line in the log or one
)

// hostileCase is one answer of a back end that is broken, or wants to break
// something.
type hostileCase struct {
	name   string
	method string // "": GET
	answer func(id uint16) []byte
	ends   bool // the back end closes the connection behind it
	want   int  // a status, cutShort or tolerant
	quiet  bool // nothing is wrong with it but what is dropped: no line in the log

	// framing says that it breaks the connection and not only one response on
	// it: what else is on a shared connection ends as well.
	framing bool
}

// says is an answer that is the same for every request.
func says(text string) func(uint16) []byte { return func(uint16) []byte { return []byte(text) } }

// rawProtocol is how a back end reads requests and answers them, byte by byte.
type rawProtocol struct {
	name     string
	protocol string // of the configuration
	shared   bool   // its connections serve many requests at a time
	kept     bool   // and stay open

	// next reads a request, whose bytes hold the path as it is. reply answers
	// what is no request.
	next func(in *bufio.Reader, reply func([]byte)) (request []byte, id uint16, err error)

	good             func(id uint16, body string) []byte
	head, piece, end func(id uint16) []byte // a good one in parts
	cases            []hostileCase
}

// rawBackEnd is a back end of a rawProtocol.
type rawBackEnd struct {
	rawProtocol
	address string
	held    chan struct{} // a request for /hold has been answered in part
	release chan struct{} // the rest of it is wanted

	mu    sync.Mutex
	last  int // connection of the last hostile answer
	good2 int // connection of the last good one
}

func (p rawProtocol) listen(t *testing.T) *rawBackEnd {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &rawBackEnd{rawProtocol: p, address: l.Addr().String(), held: make(chan struct{}, 1), release: make(chan struct{})}
	var wg sync.WaitGroup
	var mu sync.Mutex
	open := map[net.Conn]bool{}
	wg.Go(func() {
		for number := 1; ; number++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open[c] = true
			mu.Unlock()
			wg.Go(func() { b.serve(c, number) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for c := range open {
			c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return b
}

var rawPath = regexp.MustCompile(`/(good|hold|case/[0-9]+)`)

func (b *rawBackEnd) serve(c net.Conn, number int) {
	var writing sync.Mutex
	write := func(answer []byte) {
		writing.Lock()
		defer writing.Unlock()
		_, _ = c.Write(answer) // an error: the front has closed, as it should
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	defer c.Close()
	in := bufio.NewReaderSize(c, 64<<10)
	for {
		request, id, err := b.next(in, write)
		if err != nil {
			return
		}
		m := rawPath.FindSubmatch(request)
		if m == nil {
			return
		}
		closes := !b.kept
		switch path := string(m[1]); path {
		case "good":
			b.note(&b.good2, number)
			write(b.rawProtocol.good(id, "good"))
		case "hold":
			wg.Go(func() {
				b.hold(id, write)
				if !b.kept {
					c.Close()
				}
			})
			closes = false
		default:
			b.note(&b.last, number)
			n, _ := strconv.Atoi(strings.TrimPrefix(path, "case/"))
			write(b.cases[n].answer(id))
			closes = b.cases[n].ends
		}
		if closes {
			return
		}
	}
}

func (b *rawBackEnd) note(which *int, number int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	*which = number
}

// hold answers a piece now and then, so that no time-out strikes, until release.
func (b *rawBackEnd) hold(id uint16, write func([]byte)) {
	write(b.head(id))
	b.held <- struct{}{}
	beat := time.NewTicker(50 * time.Millisecond)
	defer beat.Stop()
	for {
		select {
		case <-b.release:
			write(b.end(id))
			return
		case <-beat.C:
			write(b.piece(id))
		}
	}
}

// TestHostileBackEnds: whatever a back end answers, its client gets 502 or 504,
// or a response that is visibly cut; the log has one line of it; and a request
// before it, one beside it and one after it are answered as if nothing were.
func TestHostileBackEnds(t *testing.T) {
	for _, p := range rawProtocols() {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			p.cases = append(p.cases, hostileCase{name: "a body in answer to HEAD", method: "HEAD", answer: func(id uint16) []byte { return p.good(id, "evil") }, want: 200, quiet: true})
			b := p.listen(t)
			dir := wholeSite(t)
			s := launch(t, parse(t, dir, fmt.Sprintf(before, p.protocol, b.address)+"timeout = \"2s\"\n"), newFakeApps())
			url := s.url("127.0.0.1:0")
			for i, c := range p.cases {
				hostile(t, s, b, url, fmt.Sprintf("/case/%d", i), c)
			}
		})
	}
}

// hostile is one case.
func hostile(t *testing.T, s *serving, b *rawBackEnd, url, path string, c hostileCase) {
	t.Helper()
	fail := func(format string, args ...any) {
		t.Helper()
		t.Errorf("%s: %s", c.name, fmt.Sprintf(format, args...))
	}
	if code, body := get(t, url+"/good"); code != 200 || body != "good" {
		fail("before it: %d %q", code, body)
	}
	beside := make(chan string, 1)
	go func() {
		_, body, _, err := askWhole("GET", url+"/hold")
		beside <- fmt.Sprintf("%s %v", strings.TrimLeft(body, "."), err)
	}()
	<-b.held
	logged := len(s.log.String())

	code, body, header, err := askWhole(c.method, url+path)
	switch {
	case c.want == tolerant:
	case c.want == cutShort && (err != nil || code == 502 || code == 504): // before the first byte of a body is on its way it can be said properly
	case c.want > 100 && code == c.want && err == nil:
	default:
		fail("%d %.100q, %v; want %d", code, body, err, c.want)
	}
	if all := fmt.Sprint(body, header); strings.Contains(strings.ToLower(all), "evil") {
		fail("the client got %.200q", all)
	}

	b.release <- struct{}{}
	if got := <-beside; got != "end <nil>" && !(b.shared && c.framing) {
		fail("a request beside it: %s", got)
	}
	if code, body := get(t, url+"/good"); code != 200 || body != "good" {
		fail("after it: %d %q", code, body)
	}
	b.mu.Lock()
	if b.good2 == b.last && (c.framing || !b.shared && c.want != 200) {
		fail("the connection was used again")
	}
	b.mu.Unlock()
	lines := errorLines(s.log.String()[logged:])
	for deadline := time.Now().Add(5 * time.Second); len(lines) == 0 && !c.quiet && c.want != tolerant && time.Now().Before(deadline); {
		<-time.After(time.Millisecond)
		lines = errorLines(s.log.String()[logged:])
	}
	switch {
	case b.shared && c.framing: // which tells of the request beside it as well
	case c.want == tolerant && len(lines) <= 1:
	case c.quiet && len(lines) == 0, !c.quiet && len(lines) == 1 && strings.Contains(lines[0], path):
	default:
		fail("%d lines in the log:\n%s", len(lines), strings.Join(lines, ""))
	}
}

// errorLines are those of the log that tell of an error.
func errorLines(log string) (lines []string) {
	for line := range strings.Lines(log) {
		if strings.Contains(line, "level=ERROR") {
			lines = append(lines, line)
		}
	}
	return lines
}

// askWhole is a request on a connection of its own; a cut response is an error.
func askWhole(method, url string) (code int, body string, header http.Header, err error) {
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 20 * time.Second}
	req, err := http.NewRequest(method, url, nil)
	if err != nil {
		return 0, "", nil, err
	}
	res, err := c.Do(req)
	if err != nil {
		return 0, "", nil, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return res.StatusCode, string(b), res.Header, err
}
