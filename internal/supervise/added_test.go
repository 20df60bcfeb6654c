//go:build unix

package supervise

import (
	"io"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"
)

func TestAdded(t *testing.T) {
	got := added([]string{"A=theirs", "B=theirs"}, []string{"B=ours", "C=ours"})
	if want := []string{"A=theirs", "B=ours", "C=ours"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// busy is how long a test waits for what is to come at once: no machine is so
// busy that it takes longer. What does not come is a fault, not how late.
const busy = 3 * time.Minute

// TestWhole: what a process leaves behind of its group ends with it, if it is
// to.
func TestWhole(t *testing.T) {
	for _, whole := range []bool{true, false} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		p, err := Local{}.Start(Start{
			Command: &Command{Name: "leaver", Path: "/bin/sh", Args: []string{"sh", "-c", "sleep 600 & echo $!"}, Whole: whole},
			Files:   []*os.File{nil, w},
		})
		w.Close()
		if err != nil {
			t.Fatal(err)
		}
		if exit := p.Wait(); !exit.OK() {
			t.Error(exit)
		}
		if whole { // the pipe ends with the last who has it
			_ = r.SetReadDeadline(time.Now().Add(busy))
			if _, err := io.ReadAll(r); err != nil {
				t.Errorf("its child lives: %v", err)
			}
		} else {
			b := make([]byte, 20)
			n, err := r.Read(b)
			if err != nil {
				t.Fatal(err)
			}
			child := 0
			for _, c := range b[:n-1] {
				child = 10*child + int(c-'0')
			}
			if err := syscall.Kill(child, syscall.SIGKILL); err != nil {
				t.Errorf("its child is gone: %v", err)
			}
		}
		r.Close()
	}
}
