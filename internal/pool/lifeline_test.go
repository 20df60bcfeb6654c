package pool

// What is left when the master is gone, and what is left of processes that
// the master has ended: nothing.

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"millrace/internal/spool"
	"millrace/internal/supervise"
)

func TestMain(m *testing.M) {
	if how := os.Getenv("MILLRACE_TEST_PROGRAM"); how != "" {
		beProgram(how)
	}
	if dir := os.Getenv("MILLRACE_TEST_MASTER"); dir != "" {
		beMaster(dir)
	}
	os.Exit(m.Run())
}

// beMaster is a pool in a process of its own: it prints a worker's and the
// host's process ids and then waits to be killed.
func beMaster(dir string) {
	python, err := python3()
	if err != nil {
		panic(err)
	}
	threads, err := strconv.Atoi(os.Getenv("MILLRACE_TEST_MASTER_THREADS"))
	if err != nil {
		panic(err)
	}
	p := New(Config{
		Name: "test", Python: python, WSGI: "misbehaving:application", Dir: dir, Preload: true,
		Host: HostCommand("test", python, dir, os.Environ(), supervise.Rights{}), Starter: supervise.Local{},
		Threads:  threads,
		MinSpare: 2, MaxSpare: 2, MaxChildren: 2, Queue: 10, StartupTimeout: time.Minute, StopTimeout: time.Minute,
		MaxBody: 1 << 20, Spool: spool.New(os.TempDir(), 1<<20), Log: slog.New(slog.DiscardHandler),
	})
	go p.Run(context.Background())
	server := httptest.NewServer(p.Handler(""))
	for {
		s := p.Status()
		if s.Idle == 2 && s.Workers[0].PID != 0 && s.Workers[1].PID != 0 { // the host's word on them may come later
			fmt.Println(server.URL, s.Workers[0].PID, s.Workers[1].PID)
			select {}
		}
		runtime.Gosched()
	}
}

// TestMasterKilled: with the master go its workers and its host, also a
// worker that runs, and one whose host is stopped and cannot see to it.
func TestMasterKilled(t *testing.T) {
	for _, tt := range []struct {
		hostStopped bool
		threads     int
	}{{false, 0}, {true, 0}, {false, 2}, {true, 2}} {
		cmd := exec.Command(os.Args[0])
		cfg := testConfig(t, "")
		cmd.Env = append(cfg.Host.Env, "MILLRACE_TEST_MASTER="+cfg.Dir, "MILLRACE_TEST_MASTER_THREADS="+strconv.Itoa(tt.threads))
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill() }) // an error: it is gone, as it should be
		var url string
		var workers [2]int
		line, err := bufio.NewReader(stdout).ReadString('\n')
		if err == nil {
			_, err = fmt.Sscan(line, &url, &workers[0], &workers[1])
		}
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if (workers[0] == workers[1]) != (tt.threads > 0) {
			t.Fatalf("%d threads: processes %v", tt.threads, workers)
		}
		host := parent(t, workers[0])
		go func() {
			if resp, err := http.Get(url + "/never"); err == nil {
				resp.Body.Close()
			}
		}()
		if tt.hostStopped {
			if err := syscall.Kill(host, syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		gone(t, workers[0])
		gone(t, workers[1])
		if tt.hostStopped {
			if err := syscall.Kill(host, syscall.SIGCONT); err != nil {
				t.Fatal(err)
			}
		}
		gone(t, host)
	}
}

func openDescriptors(t testing.TB) []string {
	t.Helper()
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	var open []string
	for _, name := range names {
		if target, err := os.Readlink("/proc/self/fd/" + name.Name()); err == nil {
			open = append(open, name.Name()+" "+target)
		}
	}
	return open
}

// TestNoLeaks: after reloads, deaths and recycling there are as many
// descriptors, goroutines and children as before.
func TestNoLeaks(t *testing.T) {
	cfg := testConfig(t, "misbehaving:application")
	cfg.fixed(2)
	cfg.MaxRequests = 10
	cfg.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	p, server := startPool(t, cfg)
	client := server.Client()
	ask := func(path string) {
		t.Helper()
		resp, err := client.Get(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	churn := func() {
		for range 30 {
			ask("/pid")
		}
		ask("/exit_now")
		ask("/slow_stream?0")
		// A body in a file, and a response in pieces.
		resp, err := client.Post(server.URL+"/slow_stream?0", "text/plain", strings.NewReader(strings.Repeat("x", 300_000)))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if err := p.Reload(context.Background(), cfg); err != nil {
			t.Fatal(err)
		}
	}
	churn()
	p.waitAtRest(t, 2)
	client.CloseIdleConnections()
	descriptors, goroutines := openDescriptors(t), runtime.NumGoroutine()
	for range 10 {
		churn()
	}
	p.waitAtRest(t, 2)
	client.CloseIdleConnections()
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
	if used := cfg.Spool.Used(); used != 0 {
		t.Errorf("%d bytes of the spool are still taken", used)
	}
}
