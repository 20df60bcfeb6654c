package listen

import (
	"io"
	"net"
	"testing"
	"time"
)

// TestCopyWithoutDeadline: io.Copy from a connection whose read deadline was
// taken back waits for as long as its Read does: the deadline that the socket
// still has is nobody's.
func TestCopyWithoutDeadline(t *testing.T) {
	l, err := Open("127.0.0.1:0", Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	_ = server.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	_ = server.SetReadDeadline(time.Time{})
	go func() {
		time.Sleep(100 * time.Millisecond)
		_, _ = io.WriteString(client, "late")
		client.Close()
	}()
	got := make(chan string, 1)
	r, w := net.Pipe()
	go func() {
		b, _ := io.ReadAll(r)
		got <- string(b)
	}()
	_, err = io.Copy(w, server)
	w.Close()
	if b := <-got; b != "late" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
}
