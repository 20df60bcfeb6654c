//go:build unix

package fcgi

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"millrace/gateway"
)

// dialPerRequest is what other Go clients do, as well as it can be done: dial,
// send everything in one write, read until END_REQUEST, close.
func dialPerRequest(path string, req *gateway.Request) (n int, err error) {
	c, err := net.Dial("unix", path)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return 0, err
	}
	b, err := begin(make([]byte, 0, 2<<10), 1, req, false)
	if err != nil {
		return 0, err
	}
	if _, err := c.Write(AppendHeader(b, Header{Type: Stdin, ID: 1})); err != nil {
		return 0, err
	}
	in := newReader(c)
	var out []byte
	for {
		h, err := in.next()
		switch {
		case err != nil:
			return 0, err
		case h.Type == EndRequest:
			_, size, err := gateway.ParseHead(out)
			return len(out) - size, err
		case h.Type == Stdout:
			if out, err = in.whole(out); err != nil {
				return 0, err
			}
		}
	}
}

// dialers share a benchmark's iterations.
func parallel(b *testing.B, workers int, once func() (int, error)) {
	b.ReportAllocs()
	b.ResetTimer()
	var left atomic.Int64
	left.Store(int64(b.N))
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for left.Add(-1) >= 0 {
				if n, err := once(); err != nil || n != len("hello, world\n") {
					b.Errorf("%d bytes, %v", n, err)
					return
				}
			}
		})
	}
	group.Wait()
}

// benchClient compares clients of the program on a Unix socket, which runs as
// so many processes: as many requests are under way.
func benchClient(b *testing.B, path string, processes int, params ...string) {
	req := func() *gateway.Request {
		return &gateway.Request{Params: append([]gateway.Param{{Name: params[0], Value: params[1]}}, typical...)}
	}
	ours := func(b *testing.B, c *Client) {
		c.Address = "unix:" + path
		defer c.Close()
		parallel(b, processes, func() (int, error) {
			resp, err := c.RoundTrip(b.Context(), req())
			if err != nil {
				return 0, err
			}
			defer resp.Body.Close()
			n, err := io.Copy(io.Discard, resp.Body)
			return int(n), err
		})
	}
	b.Run("dial-per-request", func(b *testing.B) {
		parallel(b, processes, func() (int, error) { return dialPerRequest(path, req()) })
	})
	b.Run("ours", func(b *testing.B) { ours(b, &Client{}) })
	b.Run("ours-MaxConns", func(b *testing.B) { ours(b, &Client{Reuse: ReuseAlways, MaxConns: processes}) })
	b.Run("ours-fresh", func(b *testing.B) { ours(b, &Client{Reuse: ReuseNever}) })
}

// need finds a program that a benchmark is about.
func need(b *testing.B, names ...string) string {
	for _, name := range names {
		if found, _ := filepath.Glob(name); len(found) > 0 {
			return found[0]
		}
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	b.Skipf("none of %v is installed", names)
	return ""
}

// launch runs a program until the benchmark ends, and waits until it listens.
func launch(b *testing.B, socket string, stdin *os.File, name string, args ...string) {
	cmd := exec.Command(name, args...)
	cmd.Stdin = stdin
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
	})
	eventually(b, name, func() bool {
		c, err := net.Dial("unix", socket)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

// BenchmarkPHP is against php-fpm, with as many processes as there are cores
// here.
func BenchmarkPHP(b *testing.B) {
	php := need(b, "/usr/sbin/php-fpm*", "php-fpm")
	dir := b.TempDir()
	socket, script, conf := dir+"/php.sock", dir+"/hello.php", dir+"/fpm.conf"
	write(b, script, "<?php header('Content-Type: text/plain'); echo \"hello, world\\n\";")
	write(b, conf, fmt.Sprintf("[global]\nerror_log = %s/log\ndaemonize = no\n[www]\nlisten = %s\npm = static\npm.max_children = 2\n", dir, socket)+asRoot())
	launch(b, socket, nil, php, "--nodaemonize", "--allow-to-run-as-root", "--no-php-ini", "--fpm-config", conf)
	benchClient(b, socket, 2, "SCRIPT_FILENAME", script)
}

func asRoot() string {
	if os.Getuid() != 0 {
		return ""
	}
	return "user = root\ngroup = root\n"
}

// BenchmarkLibfcgi is against a C program, compiled here.
func BenchmarkLibfcgi(b *testing.B) {
	cc := need(b, "cc", "gcc")
	need(b, "/usr/include/fcgi_stdio.h")
	dir := b.TempDir()
	write(b, dir+"/hello.c", `#include <fcgi_stdio.h>
int main(void) { while (FCGI_Accept() >= 0) printf("Content-Type: text/plain\r\n\r\nhello, world\n"); return 0; }`)
	if out, err := exec.Command(cc, "-O2", "-o", dir+"/hello", dir+"/hello.c", "-lfcgi").CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	l, err := net.Listen("unix", dir+"/c.sock")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	stdin, err := l.(*net.UnixListener).File()
	if err != nil {
		b.Fatal(err)
	}
	defer stdin.Close()
	for range 2 {
		launch(b, dir+"/c.sock", stdin, dir+"/hello")
	}
	benchClient(b, dir+"/c.sock", 2, "X", "Y")
}

// BenchmarkClient is against our own server, with 64 requests under way: on
// connections of their own, and shared.
func BenchmarkClient(b *testing.B) {
	address := serveUnix(b, &Server{Handler: hello})
	for name, c := range map[string]*Client{"kept": {Reuse: ReuseAlways}, "shared": {MaxConns: 1}, "fresh": {Reuse: ReuseNever}} {
		b.Run(name, func(b *testing.B) {
			c := &Client{Address: address, Reuse: c.Reuse, MaxConns: c.MaxConns}
			defer c.Close()
			parallel(b, 64, func() (int, error) {
				resp, err := c.RoundTrip(b.Context(), &gateway.Request{Params: typical})
				if err != nil {
					return 0, err
				}
				defer resp.Body.Close()
				n, err := io.Copy(io.Discard, resp.Body)
				return int(n), err
			})
		})
	}
}

func write(b *testing.B, name, text string) {
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
}
