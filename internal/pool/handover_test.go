package pool

// Workers that go from one pool to the next: by the same processes, with
// nothing lost and nothing left.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"millrace/internal/supervise"
)

// family is a Starter whose processes any pool of this test may take over, as
// a keeper's are.
type family struct {
	supervise.Local

	mu        sync.Mutex
	processes map[int]*relative
}

var _ supervise.Adopter = (*family)(nil)

type relative struct {
	supervise.Process
	ended chan struct{}
	exit  supervise.Exit
}

func (r *relative) Wait() supervise.Exit {
	<-r.ended
	return r.exit
}

func (f *family) Start(s supervise.Start) (supervise.Process, error) {
	p, err := f.Local.Start(s)
	if err != nil {
		return nil, err
	}
	r := &relative{Process: p, ended: make(chan struct{})}
	go func() {
		r.exit = p.Wait()
		close(r.ended)
	}()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.processes == nil {
		f.processes = map[int]*relative{}
	}
	f.processes[p.PID()] = r
	return r, nil
}

func (f *family) Adopt(pid int) (supervise.Process, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r := f.processes[pid]; r != nil {
		return r, nil
	}
	return nil, fmt.Errorf("no process %d", pid)
}

// wire is a Unix stream socket pair as files.
func wire(t testing.TB) (a, b *os.File) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	unix.CloseOnExec(fds[0])
	unix.CloseOnExec(fds[1])
	return os.NewFile(uintptr(fds[0]), "giver"), os.NewFile(uintptr(fds[1]), "taker")
}

// front is a server whose pool is replaced while it serves.
type front struct {
	t   testing.TB
	cfg Config
	now atomic.Pointer[stage]
}

// stage is a pool that runs, and the requests inside it.
type stage struct {
	*Pool
	handler http.Handler
	cancel  context.CancelFunc
	done    chan error
	mu      sync.RWMutex // held for reading by each request
}

func (f *front) start(adopt *os.File) *stage {
	cfg := f.cfg
	cfg.Adopt = adopt
	p := New(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	s := &stage{Pool: p, handler: p.Handler(""), cancel: cancel, done: make(chan error, 1)}
	go func() { s.done <- p.Run(ctx) }()
	return s
}

func (s *stage) stop(t testing.TB) {
	t.Helper()
	s.cancel()
	select {
	case err := <-s.done:
		if err != nil {
			t.Error("Run: ", err)
		}
	case <-time.After(time.Minute):
		t.Fatal("the pool did not stop")
	}
}

// enter returns the present stage, with a request counted in.
func (f *front) enter() *stage {
	for {
		s := f.now.Load()
		if s.mu.TryRLock() {
			return s
		}
		runtime.Gosched() // it has just been replaced
	}
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s := f.enter()
	defer s.mu.RUnlock()
	s.handler.ServeHTTP(w, r)
}

func startFront(t testing.TB, cfg Config) (*front, *httptest.Server) {
	t.Helper()
	f := &front{t: t, cfg: cfg}
	f.now.Store(f.start(nil))
	server := httptest.NewServer(f)
	t.Cleanup(func() {
		server.Close()
		f.now.Load().stop(t)
	})
	return f, server
}

func await(t testing.TB, what string, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(time.Minute):
		t.Fatal("not in time: ", what)
	}
}

// upgrade replaces the pool by one that takes its workers over.
func (f *front) upgrade() error {
	f.t.Helper()
	old := f.now.Load()
	giver, taker := wire(f.t)
	handed := make(chan error, 1)
	go func() { handed <- old.HandOver(context.Background(), giver) }()
	next := f.start(taker)
	await(f.t, "the next pool is ready", next.Ready())
	f.now.Store(next)
	old.mu.Lock() // until every request in it is answered
	old.Drained()
	var err error
	select {
	case err = <-handed:
	case <-time.After(time.Minute):
		f.t.Fatal("HandOver does not return")
	}
	old.stop(f.t)
	old.mu.Unlock()
	return err
}

func (p *Pool) workerPIDs() []int {
	var pids []int
	for _, w := range p.Status().Workers {
		if !slices.Contains(pids, w.PID) {
			pids = append(pids, w.PID)
		}
	}
	slices.Sort(pids)
	return pids
}

// pressure is clients that ask for what a path says until they are stopped.
type pressure struct {
	wg    sync.WaitGroup
	stop  chan struct{}
	good  atomic.Int64
	mu    sync.Mutex
	wrong []string
}

func press(t testing.TB, url string, clients int) *pressure {
	l := &pressure{stop: make(chan struct{})}
	transport := &http.Transport{MaxIdleConnsPerHost: clients}
	client := &http.Client{Transport: transport, Timeout: time.Minute}
	t.Cleanup(transport.CloseIdleConnections)
	for range clients {
		l.wg.Go(func() {
			for {
				select {
				case <-l.stop:
					return
				default:
				}
				resp, err := client.Post(url, "text/plain", strings.NewReader("body"))
				what := ""
				if err == nil {
					var body []byte
					body, err = io.ReadAll(resp.Body)
					resp.Body.Close()
					what = fmt.Sprintf("%d %.80q", resp.StatusCode, body)
				}
				if err == nil && resp.StatusCode == 200 {
					l.good.Add(1)
					continue
				}
				l.mu.Lock()
				l.wrong = append(l.wrong, fmt.Sprint(what, " ", err))
				l.mu.Unlock()
			}
		})
	}
	return l
}

func (l *pressure) end(t testing.TB) int64 {
	t.Helper()
	close(l.stop)
	l.wg.Wait()
	if len(l.wrong) > 0 {
		t.Errorf("%d requests were not answered with 200: %.500s", len(l.wrong), l.wrong)
	}
	return l.good.Load()
}

// TestHandOver: pools that hand their workers on, one to the next, under load:
// every request is a 200, the processes stay, and nothing is left behind.
func TestHandOver(t *testing.T) {
	for _, tt := range []struct {
		name             string
		channels, thread int
		clients          int
		requests         int // of a process
	}{
		{"prefork", 3, 0, 2, 0},
		{"prefork busy", 2, 0, 16, 0},
		{"prefork recycled", 2, 0, 8, 40},
		{"threaded", 4, 2, 2, 0},
		{"threaded busy", 4, 2, 16, 0},
		{"threaded recycled", 4, 2, 8, 40},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := testConfig(t, "misbehaving:application")
			cfg.fixed(tt.channels)
			cfg.Threads, cfg.MaxRequests = tt.thread, tt.requests
			cfg.Starter = &family{}
			log := logged(&cfg)
			f, server := startFront(t, cfg)
			f.now.Load().waitAtRest(t, tt.channels)
			pids := f.now.Load().told(t)
			var descriptors []string
			goroutines := 0
			const rounds = 20
			load := press(t, server.URL+"/pid", tt.clients)
			for round := range rounds + 1 {
				if err := f.upgrade(); err != nil {
					t.Fatalf("handover %d: %v\n%s", round, err, log)
				}
				p := f.now.Load()
				answered := load.good.Load()
				eventually(t, func() error {
					if load.good.Load() < answered+10 {
						return errors.New("no requests are answered")
					}
					if now := p.workerPIDs(); !slices.Equal(now, pids) && tt.requests == 0 {
						return fmt.Errorf("handover %d: the workers were %v, now %v\n%s", round, pids, now, log)
					}
					return nil
				})
				if round == 0 { // what is there once is there by now
					descriptors, goroutines = openDescriptors(t), runtime.NumGoroutine()
				}
			}
			t.Log(load.end(t), "requests")
			f.now.Load().waitAtRest(t, tt.channels)
			eventually(t, func() error {
				if now := openDescriptors(t); len(now) > len(descriptors) {
					return fmt.Errorf("%d descriptors were open, now %d:\n%s", len(descriptors), len(now), strings.Join(now, "\n"))
				}
				if now := runtime.NumGoroutine(); now > goroutines {
					stacks := make([]byte, 1<<16)
					return fmt.Errorf("%d goroutines ran, now %d:\n%s", goroutines, now, stacks[:runtime.Stack(stacks, true)])
				}
				return nil
			})
			if text := log.String(); strings.Contains(text, "level=WARN") || strings.Contains(text, "level=ERROR") {
				t.Errorf("the log complains:\n%s", text)
			}
		})
	}
}
