package h1

// This file: what requests and connections cost, measured at a child process:
//
//	go test ./internal/h1 -run '^$' -bench Hello
//	go test ./internal/h1 -run Memory -v

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// childVar says which server the test's binary is to be.
const childVar = "H1_TEST_SERVER"

func TestMain(m *testing.M) {
	if kind := os.Getenv(childVar); kind != "" {
		if err := beChild(kind); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// beChild serves until its standard input ends.
func beChild(kind string) error {
	if err := raiseLimit(); err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	release := make(chan struct{})
	mux := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/hello":
			w.Header()["Content-Type"] = []string{"text/plain"}
			_, _ = io.WriteString(w, "hello, world\n")
		case "/wait":
			<-release
		case "/usage":
			debug.FreeOSMemory() // also what the collector has not given back
			fmt.Fprintf(w, "%d %d", cpu(), pss())
		}
	})
	switch kind {
	case "h1":
		go (&Server{Handler: mux}).Serve(l)
	case "tls": // and what tells of its usage without
		cert, err := newCertificate()
		if err != nil {
			return err
		}
		plain, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		s := &Server{Handler: mux}
		go s.Serve(secure{l, &tls.Config{Certificates: []tls.Certificate{cert}}})
		go s.Serve(plain)
		fmt.Print(plain.Addr(), " ")
	default:
		go (&http.Server{Handler: mux}).Serve(l)
	}
	fmt.Println(l.Addr())
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

func raiseLimit() error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	limit.Cur = limit.Max
	return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
}

// cpu is the process's time in nanoseconds.
func cpu() int64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

// pss is the process's proportional set size in bytes.
func pss() int64 {
	b, err := os.ReadFile("/proc/self/smaps_rollup")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "Pss:" {
			kib, _ := strconv.ParseInt(fields[1], 10, 64)
			return kib << 10
		}
	}
	return 0
}

// child is a server in a process of its own.
type child struct {
	t      testing.TB
	addr   string
	secure string // its address for TLS, if it has one
}

func startChild(t testing.TB, kind string, env ...string) *child {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(append(os.Environ(), env...), childVar+"="+kind)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	addresses := strings.Fields(line)
	return &child{t, addresses[0], addresses[len(addresses)-1]}
}

func (c *child) usage() (cpu, pss int64) {
	c.t.Helper()
	resp, err := http.Get("http://" + c.addr + "/usage")
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := fmt.Fscan(resp.Body, &cpu, &pss); err != nil {
		c.t.Fatal(err)
	}
	return cpu, pss
}

func (c *child) dial() net.Conn {
	c.t.Helper()
	conn, err := net.Dial("tcp", c.addr)
	if err != nil {
		c.t.Fatal(err)
	}
	return conn
}

var (
	helloRequest = []byte("GET /hello HTTP/1.1\r\nHost: localhost:8000\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n")
	waitRequest  = []byte("GET /wait HTTP/1.1\r\nHost: localhost:8000\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n")
)

// roundTrip is a hello over a kept connection.
func roundTrip(c net.Conn, buf []byte) error {
	if _, err := c.Write(helloRequest); err != nil {
		return err
	}
	n := 0
	for !bytes.Contains(buf[:n], []byte("hello, world\n")) {
		step, err := c.Read(buf[n:])
		if err != nil {
			return err
		}
		n += step
	}
	return nil
}

// BenchmarkHello is the CPU time of the server for a hello, over 64 kept
// connections, beside net/http's in the same run.
func BenchmarkHello(b *testing.B) {
	children := map[string]*child{"h1": startChild(b, "h1"), "nethttp": startChild(b, "nethttp")}
	for _, kind := range []string{"nethttp", "h1", "nethttp", "h1"} {
		b.Run(kind, func(b *testing.B) {
			c := children[kind]
			const conns = 64
			before, _ := c.usage()
			var group sync.WaitGroup
			for i := range conns {
				conn := c.dial()
				group.Go(func() {
					defer conn.Close()
					buf := make([]byte, 4096)
					for range b.N/conns + i%2 {
						if err := roundTrip(conn, buf); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			group.Wait()
			after, _ := c.usage()
			b.ReportMetric(float64(after-before)/float64(b.N)/1e3, "server-µs/op")
		})
	}
}

// many opens connections and sends each a request.
func many(t *testing.T, dial func() (net.Conn, error), n int, request []byte, answered bool) {
	t.Helper()
	const at = 64 // so that no accept queue overflows
	var group sync.WaitGroup
	opened := make(chan net.Conn, n)
	for range at {
		group.Go(func() {
			buf := make([]byte, 4096)
			for range n / at {
				conn, err := dial()
				if err != nil {
					t.Error(err)
					return
				}
				opened <- conn
				if answered {
					err = roundTrip(conn, buf)
				} else {
					_, err = conn.Write(request)
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	close(opened)
	t.Cleanup(func() {
		for conn := range opened {
			conn.Close()
		}
	})
}

// TestMemory holds the process of a server with 10,000 connections to what a
// small machine has.
func TestMemory(t *testing.T) {
	if testing.Short() || raceEnabled {
		t.Skip("10,000 connections, without the race detector")
	}
	if err := raiseLimit(); err != nil {
		t.Fatal(err)
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur < 11000 {
		t.Skipf("no more than %d open files", limit.Cur)
	}
	for _, tt := range []struct {
		name, kind string
		conns      int
		request    []byte
		most       int64
	}{
		{"idle", "h1", 10000, helloRequest, 60 << 20},
		{"busy", "h1", 10000, waitRequest, 200 << 20},
		{"idle with TLS", "tls", 2000, helloRequest, 40 << 20},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := startChild(t, tt.kind)
			many(t, func() (net.Conn, error) {
				conn, err := net.Dial("tcp", c.secure)
				if err == nil && tt.kind == "tls" {
					conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
				}
				return conn, err
			}, tt.conns, tt.request, tt.name != "busy")
			size := int64(0)
			for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
				if _, size = c.usage(); size <= tt.most {
					break
				}
			}
			t.Logf("%d connections, %s: %.0f MB", tt.conns, tt.name, float64(size)/(1<<20))
			if size > tt.most {
				t.Errorf("%d bytes, at most %d", size, tt.most)
			}
		})
	}
}
