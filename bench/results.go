package main

// The report: what a run found, as files that can be kept.

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// results are of one run.
type results struct {
	print    io.Writer // sections are shown there as they come
	conduct  string    // connections, rounds and the like
	command  string
	machine  []fact
	versions []fact
	begun    time.Time
	ended    time.Time

	scenario string // that runs
	sections []*section
	spent    []spent
	skipped  []string // not begun: the time was over
	broken   []string // scenarios with an error
}

// fact is one line of what is told of the machine or of a program.
type fact struct{ what, is string }

type spent struct {
	name string
	time time.Duration
}

// add prints a section and keeps it.
func (r *results) add(sec *section) {
	sec.name = r.scenario
	r.sections = append(r.sections, sec)
	sec.markdown(r.print, "")
}

// write writes results.md, commands.md and a plot for each chart into a folder.
// Plots of an earlier run are removed.
func (r *results) write(folder string, b *book) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	old, err := filepath.Glob(filepath.Join(folder, "*.svg"))
	if err != nil {
		return err
	}
	for _, name := range old {
		if err := os.Remove(name); err != nil {
			return err
		}
	}
	var text, how bytes.Buffer
	plots := r.markdown(&text)
	fmt.Fprintf(&how, "# How each stack was started\n\nWritten by `make bench` with [the results](results.md). `$DIR` is a folder of the\nstack's own, `$WORK` that of the run, with the apps of `bench/apps`, `PORT` any free port.\n\nThe load is `%s`\nwith the connections and the seconds of the scenario. For 100 KB up, a script (`-s`) sets\nwrk.method to \"POST\" and wrk.body to 100,000 bytes.\n", strings.Join(append([]string{"wrk"}, wrkArgs(64, 3)...), " "))
	b.markdown(&how)
	files := []error{
		os.WriteFile(filepath.Join(folder, "results.md"), text.Bytes(), 0o644),
		os.WriteFile(filepath.Join(folder, "commands.md"), how.Bytes(), 0o644),
	}
	for name, c := range plots {
		files = append(files, os.WriteFile(filepath.Join(folder, name), c.svg(), 0o644))
	}
	return errors.Join(files...)
}

// markdown writes the whole report and returns its plots by file name.
func (r *results) markdown(w io.Writer) map[string]*chart {
	fmt.Fprintf(w, "# What was measured\n\nWritten by `make bench`; [README.md](README.md) explains how to read it.\n\n")
	fmt.Fprintf(w, "%s.\nBegun %s, took %v.\n\n    %s\n\n", r.conduct, r.begun.UTC().Format("2006-01-02 15:04 UTC"), r.ended.Sub(r.begun).Round(time.Second), r.command)
	fmt.Fprint(w, "| machine | |\n|---|---|\n")
	for _, f := range r.machine {
		fmt.Fprintf(w, "| %s | %s |\n", f.what, f.is)
	}
	fmt.Fprint(w, "\n| program | version |\n|---|---|\n")
	for _, f := range r.versions {
		fmt.Fprintf(w, "| %s | %s |\n", f.what, f.is)
	}
	fmt.Fprint(w, "\n[commands.md](commands.md) has how each was started.\n\n## Goals\n\n")
	goalTables(w, r.sections)
	if len(r.broken) > 0 {
		fmt.Fprintf(w, "\nErrors or wrong answers were seen in: %s.\n", strings.Join(r.broken, ", "))
	}
	if len(r.skipped) > 0 {
		fmt.Fprintf(w, "\nNot begun, since the time was over: %s.\n", strings.Join(r.skipped, ", "))
	}
	fmt.Fprint(w, "\n## Scenarios\n")
	plots := map[string]*chart{}
	for _, sec := range r.sections {
		plot := ""
		if sec.chart != nil {
			plot = sec.name + ".svg"
			for n := 2; plots[plot] != nil; n++ {
				plot = fmt.Sprintf("%s-%d.svg", sec.name, n)
			}
			plots[plot] = sec.chart
		}
		sec.markdown(w, plot)
	}
	fmt.Fprint(w, "\n## What it took\n\n| scenario | time |\n|---|---|\n")
	for _, one := range r.spent {
		fmt.Fprintf(w, "| `%s` | %v |\n", one.name, one.time.Round(time.Second))
	}
	return plots
}
