package encode

import (
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// fileHandler serves a file as package static does; reads counts.
func fileHandler(t *testing.T, path string, reads *atomic.Int64) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		f, err := os.Open(path)
		if err != nil {
			t.Error(err)
			return
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			t.Error(err)
			return
		}
		OfFile(w, FileID{Device: 1, Inode: 2, Size: info.Size(), Modified: info.ModTime().UnixNano(), Changed: info.ModTime().UnixNano()})
		w.Header().Set("Content-Type", "text/plain")
		w.Header().Set("Content-Length", strconv.FormatInt(info.Size(), 10))
		w.Header().Set("Etag", `"x"`)
		w.WriteHeader(200)
		if r.Method == "HEAD" {
			return
		}
		counted := struct {
			io.Reader
			io.Seeker
		}{readerFunc(func(b []byte) (int, error) { reads.Add(1); return f.Read(b) }), f}
		if n, err := io.CopyN(w, counted, info.Size()); err != nil {
			t.Errorf("%d of %d bytes: %v", n, info.Size(), err)
		}
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

// TestFiles: a file is compressed once for each coding, and again when it has
// changed.
func TestFiles(t *testing.T) {
	for _, size := range []int{5000, 300_000} {
		path := filepath.Join(t.TempDir(), "file")
		write := func(s string, at time.Time) {
			if err := os.WriteFile(path, []byte(s), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(path, at, at); err != nil {
				t.Fatal(err)
			}
		}
		write(text(size), modified)
		var reads atomic.Int64
		s := serve(t, Options{}, fileHandler(t, path, &reads))
		get := func(accept, want string) {
			t.Helper()
			res := fetch(t, s, "GET", "Accept-Encoding: "+accept)
			raw, _ := io.ReadAll(res.Body)
			body, err := decode(t, accept, strings.NewReader(string(raw)))
			if err != nil || body != want || res.Header.Get("Content-Length") != strconv.Itoa(len(raw)) || res.Header.Get("Etag") != `W/"x-`+accept+`"` {
				t.Errorf("%s: %d bytes of %d, %v, %v", accept, len(body), len(want), err, res.Header)
			}
		}
		if res := fetch(t, s, "HEAD", "Accept-Encoding: gzip"); res.Header.Get("Content-Encoding") != "gzip" || res.Header.Get("Content-Length") != "" {
			t.Errorf("HEAD before: %v", res.Header)
		}
		for _, coding := range DefaultCodings {
			reads.Store(0)
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() { get(coding, text(size)) })
			}
			wg.Wait()
			once := reads.Load()
			get(coding, text(size))
			if reads.Load() != once || once > int64(size/(32<<10)+2) {
				t.Errorf("%s of %d bytes: read %d times by eight at once, then %d", coding, size, once, reads.Load())
			}
		}
		if res := fetch(t, s, "HEAD", "Accept-Encoding: gzip"); res.Header.Get("Content-Encoding") != "gzip" || res.Header.Get("Content-Length") == "" {
			t.Errorf("HEAD after: %v", res.Header)
		}
		changed := strings.ToUpper(text(size))
		write(changed, modified.Add(time.Nanosecond*1000))
		get("gzip", changed)
	}
}

// TestFilesPlain: a file that does not get shorter is served as it is, and no
// second attempt is made.
func TestFilesPlain(t *testing.T) {
	noise := make([]byte, 100_000)
	rng := rand.New(rand.NewPCG(5, 6))
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, noise, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, modified, modified); err != nil {
		t.Fatal(err)
	}
	var reads atomic.Int64
	s := serve(t, Options{}, fileHandler(t, path, &reads))
	for i := range 3 {
		res := fetch(t, s, "GET", "Accept-Encoding: gzip")
		body, err := io.ReadAll(res.Body)
		if err != nil || string(body) != string(noise) || res.Header.Get("Content-Encoding") != "" || res.Header.Get("Etag") != `"x"` {
			t.Errorf("time %d: %d bytes, %v, %v", i, len(body), err, res.Header)
		}
	}
	if n := reads.Load(); n > 4*5 { // twice the first time
		t.Errorf("read %d times", n)
	}
	res := fetch(t, s, "GET", "Accept-Encoding: gzip, identity;q=0")
	if body, err := decode(t, Gzip, res.Body); err != nil || body != string(noise) {
		t.Errorf("for one who refuses it as it is: %d bytes, %v", len(body), err)
	}
}

// TestFilesBounded: the cache holds what it may, and drops what was not used.
func TestFilesBounded(t *testing.T) {
	e := NewEngine(0, 3*(1000+entryCost))
	ctx := t.Context()
	add := func(i uint64, body int) {
		f, mine := e.get(ctx, fileKey{FileID{Inode: i}, kind{}})
		if mine {
			f.body = make([]byte, body)
			e.put(f)
		}
	}
	has := func(i uint64) bool { return e.has(fileKey{FileID{Inode: i}, kind{}}) != nil }
	add(1, 1000)
	add(2, 1000)
	add(3, 1000)
	add(1, 1000) // used
	add(4, 1000)
	if !has(1) || has(2) || !has(3) || !has(4) || e.size > e.limit.Load() {
		t.Errorf("%v %v %v %v, %d", has(1), has(2), has(3), has(4), e.size)
	}
	add(5, 1<<20)
	if has(5) || !has(4) {
		t.Error("a file that is larger than all is kept, or others went for it")
	}
	e.SetCache(1)
	if len(e.files) > 0 || e.size != 0 {
		t.Errorf("%d files, %d bytes", len(e.files), e.size)
	}
}

// TestFilesFresh: a file that was written just now is not kept.
func TestFilesFresh(t *testing.T) {
	e := NewEngine(0, 1<<20)
	now := time.Now()
	id := FileID{Device: 1, Inode: 2, Size: 10, Modified: now.Add(-time.Hour).UnixNano(), Changed: now.UnixNano()}
	if e.keeps(id, now) || !e.keeps(id, now.Add(time.Second)) {
		t.Error("when it is kept does not go by its last change")
	}
	id.Size = maxFile + 1
	if e.keeps(id, now.Add(time.Second)) {
		t.Error("a large file is kept")
	}
}

// TestSendfile: what is not compressed reaches the server's ReadFrom as the
// file that it is.
func TestSendfile(t *testing.T) {
	f, err := os.Open(filepath.Join("writer.go"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for accept, want := range map[string]bool{"": true, "gzip": false} {
		rec := &fileRecorder{recorder: recorder{header: http.Header{}}}
		r := httptest.NewRequest("GET", "/", nil)
		if accept != "" {
			r.Header.Set("Accept-Encoding", accept)
		}
		New(NewEngine(0, 0), Options{}).Wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			w.Header().Set("Content-Length", "2000")
			_, _ = io.CopyN(w, f, 2000)
		})).ServeHTTP(rec, r)
		if rec.file != want {
			t.Errorf("Accept-Encoding %q: the server saw a file: %v", accept, rec.file)
		}
	}
}

type fileRecorder struct {
	recorder
	file bool
}

func (r *fileRecorder) ReadFrom(src io.Reader) (int64, error) {
	l, ok := src.(*io.LimitedReader)
	if ok {
		_, r.file = l.R.(*os.File)
	}
	return r.recorder.ReadFrom(src)
}
