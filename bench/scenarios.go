package main

// WSGI apps behind every stack: what is asked of them, and the goals.

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// wsgiRow is an app and a request to it.
type wsgiRow struct {
	title string
	job   job
	peers []string // empty: all
	view  bool     // measure the view without a server, too
	site  bool     // the app has a database, which is made first
	goals func(sec *section, f findings)
}

// findings are the samples by stack, and what the view alone takes.
type findings struct {
	samples map[string][]sample
	view    []time.Duration
}

// most are the stacks of the scenarios that are not for all.
var most = []string{"millrace", baseline, "granian", "nginx + gunicorn", "Apache mod_wsgi"}

var (
	helloRow  = wsgiRow{title: "WSGI hello", job: job{app: "hello:application"}, view: true, goals: helloGoals}
	djangoRow = wsgiRow{title: "Django hello", job: job{app: "django_hello:application"}, view: true, goals: djangoGoals}

	djangoPageRow = wsgiRow{title: "a Django template of 20 KB", job: job{app: "django_site:application", path: "page", size: djangoPage}, peers: most, view: true, site: true}
	djangoListRow = wsgiRow{title: "a list of 50 rows by Django's ORM, on SQLite", job: job{app: "django_site:application", path: "list", size: djangoList}, peers: most, view: true, site: true}

	uploadRow   = wsgiRow{title: "100 KB up", job: job{app: "bodies:application", post: 100_000}, peers: most}
	downloadRow = wsgiRow{title: "1 MB down", job: job{app: "bodies:application", path: "large", size: 1_000_000}, peers: most}
	streamRow   = wsgiRow{title: "a stream of 64 pieces of 1 KB, of no declared length", job: job{app: "bodies:application", path: "stream", size: 64_000}, peers: most}
)

// djangoPage and djangoList are the lengths of what apps/django_site.py
// answers.
const (
	djangoPage = 20_480
	djangoList = 2_000
)

// compare loads the row's stacks in interleaved rounds.
func compare(row wsgiRow) func(context.Context, *settings) error {
	return func(ctx context.Context, s *settings) error {
		peers := wsgiPeers(s)
		if len(row.peers) > 0 {
			peers = peersNamed(s, row.peers...)
		}
		if row.site {
			if err := makeDatabase(ctx, s); err != nil {
				return err
			}
		}
		var entrants []entrant
		for _, p := range peers {
			entrants = append(entrants, p.entrant(row.job))
		}
		var alone []time.Duration
		after := func() error {
			one, err := viewAlone(ctx, s, row.job)
			alone = append(alone, one)
			return err
		}
		if !row.view {
			after = nil
		}
		results, err := interleave(ctx, s, entrants, after)
		if results == nil {
			return err
		}
		sec := comparison(row.title, results)
		if row.view {
			addView(sec, results, median(alone, func(d time.Duration) time.Duration { return d }))
		}
		if row.goals != nil {
			row.goals(sec, findings{bySample(results), alone})
		}
		s.out.add(sec)
		return err
	}
}

// addView adds a column with what each server takes beyond the view, and a row for
// the view.
func addView(sec *section, results []result, view time.Duration) {
	sec.head = append(sec.head, "CPU beyond the view")
	for i, r := range results {
		beyond := ""
		if r.missing == "" {
			beyond = show(max(0, median(r.samples, cpuOf)-view))
		}
		sec.rows[i] = append(sec.rows[i], beyond)
	}
	sec.row("the view alone, in process", "", "", "", "", "", show(view))
}

func bySample(results []result) map[string][]sample {
	samples := map[string][]sample{}
	for _, r := range results {
		samples[r.name] = r.samples
	}
	return samples
}

// both are millrace's samples and another's, if there are some of each.
func (f findings) both(name string) (ours, theirs []sample, ok bool) {
	ours, theirs = f.samples["millrace"], f.samples[name]
	return ours, theirs, len(ours) > 0 && len(theirs) > 0
}

// rate says whether millrace is at least as fast as a multiple of another.
func (f findings) rate(sec *section, id, name string, least float64) {
	if ours, theirs, ok := f.both(name); ok {
		got := ratioOf(ours, theirs)
		sec.wanted(id, got >= least, "%.2f ×", got)
	}
}

func helloGoals(sec *section, f findings) {
	f.rate(sec, "hello-rate", baseline, 2)
	if ours, theirs, ok := f.both(baseline); ok {
		got := shareOf(ours, theirs, cpuOf)
		sec.wanted("hello-cpu", got <= 0.5, "%.2f ×", got)
	}
	f.rate(sec, "hello-granian", "granian", 1)
	f.rate(sec, "hello-gunicorn", "nginx + gunicorn", 3)
	f.rate(sec, "hello-modwsgi", "Apache mod_wsgi", 3)
	f.rate(sec, "hello-flup", "lighttpd + flup", 3)
	ours := f.samples["millrace"]
	if len(ours) == 0 {
		return
	}
	if len(f.view) > 0 {
		beyond := median(ours, workerOf) - median(f.view, func(d time.Duration) time.Duration { return d })
		sec.wanted("worker-cpu", beyond < 8*time.Microsecond, "%s", show(beyond))
	}
	front := median(ours, frontOfSample)
	sec.wanted("front-cpu", front < 18*time.Microsecond, "%s", show(front))
}

func djangoGoals(sec *section, f findings) {
	f.rate(sec, "django-rate", baseline, 1.6)
	f.rate(sec, "django-granian", "granian", 1.1)
}

// viewAlone is the CPU time of one call of a view, without any server.
func viewAlone(ctx context.Context, s *settings, j job) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.python, "in_process.py", j.app, "/"+j.path)
	cmd.Dir, cmd.Env = s.apps(), append(os.Environ(), s.pythonPath()...)
	out, err := cmd.Output()
	if err != nil {
		return 0, fmt.Errorf("%s in process: %w", j.app, err)
	}
	ns, err := strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
	if err != nil || ns <= 0 {
		return 0, fmt.Errorf("%s in process took %q", j.app, out)
	}
	return time.Duration(ns), nil
}

// makeDatabase makes the database of apps/django_site.py.
func makeDatabase(ctx context.Context, s *settings) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.python, "django_site.py")
	cmd.Dir, cmd.Env = s.apps(), append(os.Environ(), s.pythonPath()...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("making the database: %w\n%s", err, out)
	}
	return nil
}
