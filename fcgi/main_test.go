package fcgi

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// children are what the test binary becomes when it starts itself again.
var children = map[string]func() error{}

func TestMain(m *testing.M) {
	if name := os.Getenv("FCGI_TEST_CHILD"); name != "" {
		if err := children[name](); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	before := descriptors()
	code := m.Run()
	if code == 0 {
		if left := leftovers(before); left != "" {
			fmt.Println(left)
			code = 1
		}
	}
	os.Exit(code)
}

// descriptors counts those of the process that are sockets and files; 0 where
// that cannot be told.
func descriptors() int {
	n := 0
	list, _ := os.ReadDir("/proc/self/fd")
	for _, fd := range list {
		target, _ := os.Readlink("/proc/self/fd/" + fd.Name())
		if strings.HasPrefix(target, "socket:") || strings.Contains(target, "fcgi-stream") {
			n++
		}
	}
	return n
}

// leftovers waits for the end of everything that the tests began, and tells
// what does not end.
func leftovers(before int) string {
	stacks := make([]byte, 1<<20)
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		all := string(stacks[:runtime.Stack(stacks, true)])
		goroutines := 0
		for stack := range strings.SplitSeq(all, "\n\n") {
			if strings.Contains(stack, "millrace/") && !strings.Contains(stack, "TestMain") {
				goroutines++
			}
		}
		open := descriptors() - before
		switch {
		case goroutines == 0 && open <= 0:
			return ""
		case time.Now().After(deadline):
			return fmt.Sprintf("%d goroutines and %d descriptors are left\n%s", goroutines, open, all)
		}
	}
}

// eventually waits until something is so.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("in vain waited for: %s", what)
		}
	}
}

// receive waits for a value.
func receive[T any](t testing.TB, what string, from <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-from:
	case <-time.After(10 * time.Second):
		t.Fatalf("in vain waited for: %s", what)
	}
	return v
}
