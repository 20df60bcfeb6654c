package main

// What the workers of a Django app take of memory: millrace's, which share
// what the import made, beside gunicorn's, which do not.

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// footprintWorkers is how many workers each stack has.
const footprintWorkers = 8

// footprint loads both stacks alike and sums the PSS of their Python
// processes: the workers and the process above them.
func footprint(ctx context.Context, s *settings) error {
	with := *s
	with.workers = footprintWorkers
	j := job{app: "django_hello:application"}
	ours, err := startMillrace(ctx, &with, j)
	if err != nil {
		return err
	}
	defer ours.stop()
	mine, err := pythonsAfterLoad(ctx, &with, ours)
	if err != nil {
		return err
	}
	theirs, err := startGunicorn(ctx, &with, j)
	var missing *missingError
	if errors.As(err, &missing) {
		s.out.add(footprintSection(mine, 0, err.Error()))
		return nil
	}
	if err != nil {
		return err
	}
	defer theirs.stop()
	other, err := pythonsAfterLoad(ctx, &with, theirs)
	if err != nil {
		return err
	}
	s.out.add(footprintSection(mine, other, ""))
	return nil
}

// startGunicorn serves an app with sync workers, none of them preloaded.
func startGunicorn(ctx context.Context, s *settings, j job) (*stack, error) {
	if err := s.hasServer("gunicorn"); err != nil {
		return nil, err
	}
	st, folder, address, err := newStack(s, "gunicorn, sync", j)
	if err != nil {
		return nil, err
	}
	if err := st.run(ctx, &st.worker, folder, s.pythonPath(), s.python, "-m", "gunicorn", "-w", fmt.Sprint(s.workers), "-b", address, j.app); err != nil {
		return nil, err
	}
	return st, st.ready(ctx)
}

// pythonsAfterLoad loads a stack and sums the PSS of its interpreters.
func pythonsAfterLoad(ctx context.Context, s *settings, st *stack) (int64, error) {
	if _, err := load(ctx, st.ask, s.connections, s.duration); err != nil {
		return 0, err
	}
	if err := st.ask.check(ctx); err != nil {
		return 0, err
	}
	children, err := processTree()
	if err != nil {
		return 0, err
	}
	interpreter, err := filepath.EvalSymlinks(s.python)
	if err != nil {
		return 0, err
	}
	sum, count := int64(0), 0
	for _, p := range st.processes() {
		root := p.cmd.Process.Pid
		for _, pid := range append(descendants(children, root), root) {
			program, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
			if err != nil || program != interpreter {
				continue // the keeper or the front; or it has ended
			}
			m, err := memoryOf(pid)
			if err != nil {
				return 0, err
			}
			sum += m.pss
			count++
		}
	}
	if count != s.workers+1 {
		return 0, fmt.Errorf("%s has %d interpreters, want %d and the one above them\n%s", st.name, count, s.workers, st.log())
	}
	return sum, nil
}

func footprintSection(ours, theirs int64, missing string) *section {
	sec := &section{title: fmt.Sprintf("Memory of %d Django workers and the process above them (PSS, after load)", footprintWorkers), head: []string{"stack", "PSS", "of gunicorn's"}}
	if missing != "" {
		sec.row("millrace", fmt.Sprintf("%d MB", ours/1e6))
		sec.row("gunicorn", missing)
		return sec
	}
	share := float64(ours) / float64(theirs)
	sec.row("millrace", fmt.Sprintf("%d MB", ours/1e6), fmt.Sprintf("%.0f%%", 100*share))
	sec.row("gunicorn, not preloaded", fmt.Sprintf("%d MB", theirs/1e6))
	sec.goal(share <= 0.6, "%.0f%% of gunicorn's memory; at most 60%%", 100*share)
	return sec
}
