package main

import (
	"slices"
	"testing"
	"time"
)

// TestGroups: with one tree, its root and what isFront tells are the front, and
// all else the workers; with two, the second is the workers.
func TestGroups(t *testing.T) {
	p, err := startProcess(t.TempDir(), nil, "sh", "-c", "sleep 300 & sleep 301 & wait")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.stop)
	root := p.cmd.Process.Pid
	var children []int
	for deadline := time.Now().Add(30 * time.Second); len(children) < 2; children = childrenOf(root) {
		if time.Now().After(deadline) {
			t.Fatalf("children %v of %d", children, root)
		}
		time.Sleep(time.Millisecond)
	}
	slices.Sort(children)
	for name, c := range map[string]struct {
		st            *stack
		front, worker []int
	}{
		"one tree":   {&stack{front: []*process{p}}, []int{root}, children},
		"told apart": {&stack{front: []*process{p}, isFront: func(pid int) bool { return pid == children[0] }}, []int{root, children[0]}, children[1:]},
		"no front":   {&stack{worker: []*process{p}}, nil, append([]int{root}, children...)},
	} {
		front, worker, err := c.st.groups()
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(worker)
		slices.Sort(c.worker)
		if !slices.Equal(front, c.front) || !slices.Equal(worker, c.worker) {
			t.Errorf("%s: %v and %v; want %v and %v", name, front, worker, c.front, c.worker)
		}
		held, err := c.st.held()
		if err != nil || len(c.front) > 0 && (held.root <= 0 || held.front < held.root) || held.worker <= 0 {
			t.Errorf("%s holds %+v, %v", name, held, err)
		}
	}
	if worker, parent, err := (&stack{worker: []*process{p}}).onlyWorker(); err != nil || !slices.Contains(children, worker) || parent != root {
		t.Errorf("the worker is %d below %d, %v", worker, parent, err)
	}
}
