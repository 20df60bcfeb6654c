package main

import (
	"bytes"
	"encoding/xml"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares with a file of testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs (go test ./bench -update writes it anew):\n%s", path, got)
	}
}

// rounds are samples at these rates, with what a request costs in each half.
func rounds(front, worker time.Duration, rates ...float64) []sample {
	var all []sample
	for _, rate := range rates {
		all = append(all, sample{
			report: report{rate: rate, requests: int64(4 * rate), p50: 1500 * time.Microsecond, p99: 12 * time.Millisecond},
			front:  front, worker: worker, held: held{front: int64(front) * 1000, worker: 18e6},
		})
	}
	return all
}

// example is a run of two scenarios.
func example() *results {
	found := []result{
		{name: "millrace", samples: rounds(17*time.Microsecond, 8*time.Microsecond, 40000, 44000, 42000)},
		{name: baseline, samples: rounds(30*time.Microsecond, 24*time.Microsecond, 20000, 20000, 22000)},
		{name: "granian", samples: rounds(0, 21*time.Microsecond, 43000, 44500, 43500)},
		{name: "Apache mod_wsgi", missing: "missing: mod_wsgi is not installed"},
	}
	sec := comparison("WSGI hello", found)
	addView(sec, found, 300*time.Nanosecond)
	helloGoals(sec, findings{bySample(found), []time.Duration{300, 310, 290}})
	own := &section{title: `Files of "a" & <b>`, head: []string{"server", "rate"}, chart: &chart{title: `Files of "a" & <b>`, unit: "requests/s", bars: []bar{
		{group: "64 connections", label: "millrace", value: 0.5, ours: true},
		{group: "64 connections", label: "nginx", note: "missing"},
		{group: "1,000 connections", label: "millrace", value: 12345.6, low: 12000, high: 13000, ours: true},
	}}}
	own.row("millrace")
	own.goal(true, "1.10 × nginx; at least 1")
	begun := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	r := &results{
		print: io.Discard, conduct: "2 CPUs", command: `make bench BENCH="-report docs/bench"`,
		machine: []fact{{"cores", "2"}, {"CPU", "of the test"}}, versions: []fact{{"millrace", "0.1"}, {"mod_wsgi", "missing"}},
		begun: begun, ended: begun.Add(83 * time.Second),
		spent: []spent{{"hello", 70 * time.Second}, {"static-1k", 13 * time.Second}}, skipped: []string{"slow"}, broken: []string{"static-1k"},
	}
	r.scenario = "hello"
	r.add(sec)
	r.scenario = "static-1k"
	r.add(own)
	return r
}

func TestReport(t *testing.T) {
	var text bytes.Buffer
	plots := example().markdown(&text)
	golden(t, "report.md", text.Bytes())
	if len(plots) != 2 || plots["hello.svg"] == nil || plots["static-1k.svg"] == nil {
		t.Fatalf("plots %v", plots)
	}
	golden(t, "rates.svg", plots["hello.svg"].svg())
	golden(t, "groups.svg", plots["static-1k.svg"].svg())
}

func TestPlotsAreXML(t *testing.T) {
	for name, c := range example().markdown(io.Discard) {
		decoder := xml.NewDecoder(bytes.NewReader(c.svg()))
		for {
			if _, err := decoder.Token(); err == io.EOF {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
	}
	if text := string((&chart{title: "nothing"}).svg()); strings.Contains(text, "NaN") || strings.Contains(text, "Inf") {
		t.Error(text)
	}
}

// TestWrite: the folder has this run's plots and no others.
func TestWrite(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "bench")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"old.svg", "README.md"} {
		if err := os.WriteFile(filepath.Join(folder, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := example().write(folder, &book{}); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, one := range entries {
		names = append(names, one.Name())
	}
	if got := strings.Join(names, " "); got != "README.md commands.md hello.svg results.md static-1k.svg" {
		t.Error(got)
	}
}

// TestGoals: each is met or missed by the figures, and one without figures is
// neither.
func TestGoals(t *testing.T) {
	sec := &section{}
	found := map[string][]sample{
		"millrace":         rounds(17*time.Microsecond, 8*time.Microsecond, 40000),
		baseline:           rounds(30*time.Microsecond, 24*time.Microsecond, 20000),
		"granian":          rounds(0, 21*time.Microsecond, 40001),
		"nginx + gunicorn": rounds(0, 0, 13333),
		"lighttpd + flup":  rounds(0, 0, 13334),
	}
	helloGoals(sec, findings{found, []time.Duration{300}})
	got := map[string]bool{}
	for _, g := range sec.goals {
		got[g.id] = g.met
	}
	want := map[string]bool{
		"hello-rate": true, "hello-cpu": true, "hello-granian": false, "hello-gunicorn": true, "hello-flup": false,
		"worker-cpu": true, "front-cpu": true,
	}
	for id, met := range want {
		if was, ok := got[id]; !ok || was != met {
			t.Errorf("%s: %v, %v; want %v", id, was, ok, met)
		}
	}
	if _, ok := got["hello-modwsgi"]; ok {
		t.Error("a goal against a peer that is missing")
	}
	for id := range got {
		if wantOf(id) == nil {
			t.Errorf("no goal is called %s", id)
		}
	}
}

// TestConnectionGoals: a round that failed at 10,000 connections misses.
func TestConnectionGoals(t *testing.T) {
	found := map[int][]result{}
	for _, n := range connectionCounts {
		found[n] = []result{{name: "millrace", samples: rounds(17*time.Microsecond, 8*time.Microsecond, 40000, 41000)}}
	}
	verdicts := func() map[string]bool {
		got := map[string]bool{}
		for _, g := range connectionSection(found).goals {
			got[g.id] = g.met
		}
		return got
	}
	if got := verdicts(); !got["connections-rate"] || !got["connections-memory"] {
		t.Errorf("%v; want all met", got)
	}
	found[1000][0].samples[1].held.front = 61e6
	found[10000][0] = result{name: "millrace", samples: rounds(0, 0, 40000), missing: "socket errors"}
	if got := verdicts(); got["connections-rate"] || got["connections-memory"] {
		t.Errorf("%v; want none met", got)
	}
}

func TestWantsAreScenarios(t *testing.T) {
	seen := map[string]bool{}
	for _, one := range wants {
		if chosen, err := choose(one.scenario); err != nil || len(chosen) == 0 {
			t.Errorf("%s is measured by %q: %v", one.id, one.scenario, err)
		}
		if seen[one.id] {
			t.Errorf("two goals are called %s", one.id)
		}
		seen[one.id] = true
	}
}

func TestChoose(t *testing.T) {
	names := func(only string) string {
		chosen, err := choose(only)
		if err != nil {
			return err.Error()
		}
		var all []string
		for _, one := range chosen {
			all = append(all, one.name)
		}
		return strings.Join(all, " ")
	}
	for only, want := range map[string]string{
		"slow":                  "slow",
		"static":                "static-1k static-120k static-100m static-tls static-folder",
		"gateway-slow,hello":    "hello gateway-slow",
		"django":                "django django-page django-list",
		"hello,nothing":         `nothing is called "nothing" in -only: -list shows what is`,
		"stat":                  `nothing is called "stat" in -only: -list shows what is`,
		"django-page,cached-pa": `nothing is called "cached-pa" in -only: -list shows what is`,
	} {
		if got := names(only); got != want {
			t.Errorf("-only %s: %s; want %s", only, got, want)
		}
	}
	if all, err := choose(""); err != nil || len(all) != len(catalogue()) {
		t.Errorf("%d of %d, %v", len(all), len(catalogue()), err)
	}
	seen := map[string]bool{}
	for _, one := range catalogue() {
		if seen[one.name] {
			t.Errorf("two scenarios are called %s", one.name)
		}
		seen[one.name] = true
	}
}

func TestFigure(t *testing.T) {
	for f, want := range map[float64]string{0: "0", 0.2934: "0.293", 99.96: "100", 100: "100", 999.6: "1,000", 12345: "12,345", 1234567: "1,234,567", -4321: "-4,321"} {
		if got := figure(f); got != want {
			t.Errorf("%v is %s; want %s", f, got, want)
		}
	}
}
