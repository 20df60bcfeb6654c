package main

// What the whole is to show, on two cores in the same run. A goal that was not
// measured has a row that says so.

import (
	"fmt"
	"io"
)

// want is one of these goals.
type want struct {
	id, work, least string
	most            bool // least is said in full: "under 8 µs"
	scenario        string
}

var wants = []want{
	{"hello-rate", "WSGI hello, full stack against nginx + uWSGI: requests/s", "2.0 ×", false, "hello"},
	{"hello-cpu", "WSGI hello: CPU a request, of nginx + uWSGI's", "at most 0.5 ×", true, "hello"},
	{"hello-granian", "WSGI hello against granian alone: requests/s", "1.0 ×", false, "hello"},
	{"hello-gunicorn", "WSGI hello against nginx + gunicorn: requests/s", "3 ×", false, "hello"},
	{"hello-modwsgi", "WSGI hello against Apache mod_wsgi: requests/s", "3 ×", false, "hello"},
	{"hello-flup", "WSGI hello against lighttpd + flup: requests/s", "3 ×", false, "hello"},
	{"django-rate", "Django hello against nginx + uWSGI: requests/s", "1.6 ×", false, "django"},
	{"django-granian", "Django hello against granian: requests/s", "1.1 ×", false, "django"},
	{"mixed", "mixed load: p99 of the short views against nginx + uWSGI, same processes", "no worse", true, "mixed"},
	{"connections-rate", "10,000 connections against 64: rate", "0.8 ×", false, "connections"},
	{"connections-memory", "1,000 kept connections: memory of the front", "under 60 MB", true, "connections"},
	{"overload-rate", "overload (a view that waits 5 ms, 5 × the capacity): good answers against capacity", "0.95 ×", false, "overload"},
	{"overload-refusal", "overload: parsed head to first write of a 503, median", "under 0.3 ms", true, "overload"},
	{"worker-cpu", "worker CPU a request beyond the app itself (hello)", "under 8 µs", true, "hello"},
	{"front-cpu", "front CPU a request (hello)", "under 18 µs", true, "hello"},
}

func wantOf(id string) *want {
	for i := range wants {
		if id != "" && wants[i].id == id {
			return &wants[i]
		}
	}
	return nil
}

// goalTables writes all goals: first wants, then those of the sections' own.
func goalTables(w io.Writer, sections []*section) {
	found := map[string]verdict{}
	for _, sec := range sections {
		for _, g := range sec.goals {
			if g.id != "" {
				found[g.id] = g
			}
		}
	}
	fmt.Fprint(w, "| work | goal | measured | |\n|---|---|---|---|\n")
	for _, want := range wants {
		least := want.least
		if !want.most {
			least = "at least " + least
		}
		if g, ok := found[want.id]; ok {
			fmt.Fprintf(w, "| %s | %s | %s | %s |\n", want.work, least, g.text, word(g.met))
			continue
		}
		fmt.Fprintf(w, "| %s | %s | – | not measured (`%s`) |\n", want.work, least, want.scenario)
	}
	head := false
	for _, sec := range sections {
		for _, g := range sec.goals {
			if g.id != "" {
				continue
			}
			if !head {
				fmt.Fprint(w, "\nGoals of single scenarios:\n\n| scenario | goal | |\n|---|---|---|\n")
				head = true
			}
			fmt.Fprintf(w, "| %s | %s | %s |\n", sec.title, g.text, word(g.met))
		}
	}
}
