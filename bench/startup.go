package main

// Beginnings: of a stack, of a worker, of the next generation.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// startUp measures the time from exec to the first right answer.
func startUp(ctx context.Context, s *settings) error {
	jobs := []job{{app: "hello:application"}, {app: "django_hello:application"}}
	peers := wsgiPeers(s)
	took := make([][2][]time.Duration, len(peers))
	missed := make([]string, len(peers))
	for range s.rounds {
		for i, p := range peers {
			for n, j := range jobs {
				st, err := p.start(ctx, s, j)
				var missing *missingError
				switch {
				case errors.As(err, &missing):
					missed[i] = err.Error()
					continue
				case err != nil:
					return err
				}
				took[i][n] = append(took[i][n], st.up.Sub(st.begun))
				st.stop()
			}
		}
	}
	sec := &section{
		title: fmt.Sprintf("From exec to the first answer (%d workers)", s.workers),
		note:  "Of two programs, the back end is executed first. Asked each 2 ms.",
		head:  []string{"stack", "WSGI hello (min – max)", "Django hello (min – max)"},
		chart: &chart{title: "Django hello: from exec to the first answer", unit: "ms"},
	}
	for i, p := range peers {
		if missed[i] != "" {
			sec.row(p.name, missed[i])
			sec.chart.bars = append(sec.chart.bars, bar{label: p.name, note: "missing"})
			continue
		}
		sec.row(p.name, times(took[i][0]), times(took[i][1]))
		sec.chart.bars = append(sec.chart.bars, timeBar(p.name, took[i][1], i == 0))
	}
	s.out.add(sec)
	return nil
}

func times(all []time.Duration) string {
	if len(all) == 0 {
		return "–"
	}
	return fmt.Sprintf("%s (%s – %s)", show(percentile(all, 0.5)), show(slices.Min(all)), show(slices.Max(all)))
}

func timeBar(label string, all []time.Duration, ours bool) bar {
	ms := func(d time.Duration) float64 { return d.Seconds() * 1e3 }
	return bar{label: label, value: ms(percentile(all, 0.5)), low: ms(slices.Min(all)), high: ms(slices.Max(all)), ours: ours}
}

// forks is how many workers of each stack are killed in a round.
const forks = 3

// fork kills a stack's only worker, which does nothing, and measures when
// there is another and when it answers.
func fork(ctx context.Context, s *settings) error {
	with := *s
	with.workers = 1
	j := job{app: "django_hello:application"}
	peers := peersNamed(s, "millrace", baseline, "granian", "gunicorn")
	forked, answered := make([][]time.Duration, len(peers)), make([][]time.Duration, len(peers))
	running, missed, err := startAll(ctx, &with, j, peers)
	defer stopAll(running)
	if err != nil {
		return err
	}
	for range s.rounds * forks {
		for i, st := range running {
			if st == nil || missed[i] != "" {
				continue
			}
			begin, answer, err := replaced(ctx, st)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				missed[i] = firstLine(err.Error())
				if i == 0 {
					return err
				}
				continue
			}
			forked[i], answered[i] = append(forked[i], begin), append(answered[i], answer)
		}
	}
	sec := &section{
		title: "A worker that is killed (1 worker, Django hello)",
		note:  "From the signal to the next worker's process, and to the answer to a request that is sent then.",
		head:  []string{"stack", "next process (min – max)", "next answer (min – max)"},
		chart: &chart{title: "From a worker's death to the next answer", unit: "ms"},
	}
	for i, p := range peers {
		if missed[i] != "" {
			sec.row(p.name, missed[i])
			continue
		}
		sec.row(p.name, times(forked[i]), times(answered[i]))
		sec.chart.bars = append(sec.chart.bars, timeBar(p.name, answered[i], i == 0))
	}
	s.out.add(sec)
	return nil
}

// replaced kills the worker and waits for the next.
func replaced(ctx context.Context, st *stack) (begin, answer time.Duration, err error) {
	if err := st.ask.check(ctx); err != nil {
		return 0, 0, err
	}
	worker, parent, err := st.onlyWorker()
	if err != nil {
		return 0, 0, err
	}
	deadline := time.Now().Add(10 * time.Second)
	killed := time.Now()
	if err := syscall.Kill(worker, syscall.SIGKILL); err != nil {
		return 0, 0, err
	}
	for {
		if children := childrenOf(parent); len(children) > 0 && !slices.Contains(children, worker) {
			begin = time.Since(killed)
			break
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			return 0, 0, fmt.Errorf("%s has no worker 10s after the last one's death", st.name)
		}
		time.Sleep(100 * time.Microsecond)
	}
	for {
		err := st.ask.check(ctx)
		if err == nil {
			return begin, time.Since(killed), nil
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			return 0, 0, fmt.Errorf("%s does not answer 10s after its worker's death: %w", st.name, err)
		}
		time.Sleep(time.Millisecond)
	}
}

// onlyWorker is the process that has no children, and its parent.
func (st *stack) onlyWorker() (worker, parent int, err error) {
	_, all, err := st.groups()
	if err != nil {
		return 0, 0, err
	}
	for _, pid := range all {
		if children := childrenOf(pid); len(children) == 0 {
			fields := stat(pid)
			if len(fields) < 2 {
				continue
			}
			if parent, err = strconv.Atoi(fields[1]); err != nil {
				return 0, 0, err
			}
			if slices.Contains(all, parent) {
				worker = pid
				return worker, parent, nil
			}
		}
	}
	return 0, 0, fmt.Errorf("%s has no worker process below another", st.name)
}

// childrenOf are those of a process's threads; none once it is gone.
func childrenOf(pid int) []int {
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return nil
	}
	var children []int
	for _, task := range tasks {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", pid, task.Name()))
		if err != nil {
			continue
		}
		for _, one := range bytes.Fields(text) {
			if child, err := strconv.Atoi(string(one)); err == nil {
				children = append(children, child)
			}
		}
	}
	return children
}

// reloading is how a stack is told to take its app anew.
var reloading = []struct {
	name   string
	signal syscall.Signal
}{
	{"millrace", syscall.SIGHUP},
	{baseline, syscall.SIGHUP},
	{"granian", syscall.SIGHUP},
	{"nginx + gunicorn", syscall.SIGHUP},
	{"Apache mod_wsgi", syscall.SIGUSR1},
}

// reload compares the load without and with two reloads in it.
func reload(ctx context.Context, s *settings) error {
	j := job{app: "django_hello:application"}
	sec := &section{
		title: "Two reloads under load (Django hello)",
		note:  "At a quarter and at five eighths of each load. granian, gunicorn, uWSGI and millrace get SIGHUP, Apache SIGUSR1.",
		head:  []string{"stack", "requests/s without (min – max)", "with (min – max)", "p99 without", "with", "answers that were errors", "connections lost"},
	}
	for i, r := range reloading {
		plain, with := result{name: r.name}, result{name: r.name}
		var refused int64
		var lost []string
		err := func() error {
			st, err := peersNamed(s, r.name)[0].start(ctx, s, j)
			if err != nil {
				return err
			}
			defer st.stop()
			if _, err := load(ctx, st.ask, s.connections, s.warmUp); err != nil {
				return err
			}
			for range s.rounds {
				one, err := measure(ctx, s, r.name, st)
				if err != nil {
					return err
				}
				plain.samples = append(plain.samples, one)
				report, err := reloaded(ctx, s, st, r.signal)
				if err != nil {
					return err
				}
				with.samples = append(with.samples, sample{report: report})
				refused += report.refused
				if report.errors != "" {
					lost = append(lost, report.errors)
				}
			}
			return nil
		}()
		var missing *missingError
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &missing) || err != nil && i > 0:
			sec.row(r.name, firstLine(err.Error()))
			continue
		case err != nil:
			return err
		}
		if len(lost) == 0 {
			lost = []string{"none"}
		}
		sec.row(r.name, rates(plain.samples), rates(with.samples), showOf(plain.samples, p99Of), showOf(with.samples, p99Of), fmt.Sprint(refused), strings.Join(lost, "; "))
		if i == 0 {
			sec.goal(refused == 0 && lost[0] == "none", "millrace: %d answers that were errors, connections lost: %s; none", refused, strings.Join(lost, "; "))
		}
	}
	s.out.add(sec)
	return nil
}

// reloaded is one load with two reloads in it. That they took place is seen by
// the workers' processes.
func reloaded(ctx context.Context, s *settings, st *stack, signal syscall.Signal) (report, error) {
	_, before, err := st.groups()
	if err != nil {
		return report{}, err
	}
	root := append(append([]*process{}, st.worker...), st.front...)[0]
	for _, at := range []time.Duration{s.duration / 4, s.duration * 5 / 8} {
		timer := time.AfterFunc(at, func() { _ = root.cmd.Process.Signal(signal) })
		defer timer.Stop()
	}
	r, err := load(ctx, st.ask, s.connections, s.duration)
	if err != nil {
		return r, err
	}
	for deadline := time.Now().Add(15 * time.Second); ; {
		_, after, err := st.groups()
		if err != nil {
			return r, err
		}
		if len(before) > 0 && len(after) >= len(before) && slices.ContainsFunc(after, func(pid int) bool { return !slices.Contains(before, pid) }) {
			return r, st.ask.check(ctx)
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			return r, fmt.Errorf("%s did not start its app anew\n%s", st.name, st.log())
		}
		time.Sleep(10 * time.Millisecond)
	}
}
