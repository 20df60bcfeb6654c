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
	ours, err := startMillrace(ctx, &with, "django_hello:application", "")
	if err != nil {
		return err
	}
	defer ours.stop()
	mine, err := pythonsAfterLoad(ctx, &with, ours)
	if err != nil {
		return err
	}
	theirs, err := startGunicorn(ctx, &with, "django_hello:application")
	var missing *missingError
	if errors.As(err, &missing) {
		printFootprint(mine, 0, err.Error())
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
	printFootprint(mine, other, "")
	return nil
}

// startGunicorn serves an app with sync workers, none of them preloaded.
func startGunicorn(ctx context.Context, s *settings, app string) (*stack, error) {
	folders, err := filepath.Glob(".cache/venv/lib/python3*/site-packages/gunicorn")
	if err != nil {
		return nil, err
	}
	if len(folders) == 0 {
		return nil, &missingError{"gunicorn is not in .cache/venv"}
	}
	st, folder, address, err := newStack(s, "gunicorn")
	if err != nil {
		return nil, err
	}
	// The package alone, so that Django is that of every stack.
	lib := filepath.Join(folder, "lib")
	if err := os.CopyFS(filepath.Join(lib, "gunicorn"), os.DirFS(folders[0])); err != nil {
		return nil, err
	}
	env := []string{"PYTHONPATH=" + lib + string(os.PathListSeparator) + s.site + string(os.PathListSeparator) + filepath.Join(s.work, "apps")}
	if err := st.run(ctx, &st.worker, folder, env, s.python, "-m", "gunicorn", "-w", fmt.Sprint(s.workers), "-b", address, app); err != nil {
		return nil, err
	}
	return st, st.ready(ctx)
}

// pythonsAfterLoad loads a stack and sums the PSS of its interpreters.
func pythonsAfterLoad(ctx context.Context, s *settings, st *stack) (int64, error) {
	if _, err := load(ctx, st.url, s.connections, s.duration); err != nil {
		return 0, err
	}
	if err := st.check(ctx); err != nil {
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

func printFootprint(ours, theirs int64, missing string) {
	fmt.Printf("\n### Memory of %d Django workers and the process above them (PSS, after load)\n\n", footprintWorkers)
	fmt.Println("| stack | PSS | of gunicorn's |")
	fmt.Println("|---|---|---|")
	if missing != "" {
		fmt.Printf("| millrace | %d MB | |\n| gunicorn | %s | |\n", ours/1e6, missing)
		return
	}
	share := float64(ours) / float64(theirs)
	fmt.Printf("| millrace | %d MB | %.0f%% |\n| gunicorn, not preloaded | %d MB | |\n", ours/1e6, 100*share, theirs/1e6)
	goal(share <= 0.6, "%.0f%% of gunicorn's memory; at most 60%%", 100*share)
}
