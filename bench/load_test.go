package main

import (
	"testing"
	"time"
)

const wrkReport = `Running 5s test @ http://127.0.0.1:8000/
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     2.26ms    1.05ms  50.00ms   71.29%
    Req/Sec    28.53k     1.20k   31.02k    70.00%
  Latency Distribution
     50%  980.00us
     75%    2.64ms
     90%    3.30ms
     99%    1.20s
  141920 requests in 5.00s, 24.63MB read
Requests/sec:  28380.56
Transfer/sec:      4.93MB
`

func TestParseReport(t *testing.T) {
	r, err := parseReport(wrkReport)
	if err != nil {
		t.Fatal(err)
	}
	if want := (report{rate: 28380.56, requests: 141920, p50: 980 * time.Microsecond, p99: 1200 * time.Millisecond}); r != want {
		t.Errorf("%+v; want %+v", r, want)
	}
	if err := r.whole(); err != nil {
		t.Error(err)
	}
	bad, err := parseReport(wrkReport + "  Socket errors: connect 0, read 3, write 0, timeout 0\n  Non-2xx or 3xx responses: 17\n")
	if err != nil || bad.refused != 17 || bad.errors != "connect 0, read 3, write 0, timeout 0" || bad.whole() == nil {
		t.Errorf("%+v, %v", bad, err)
	}
	for _, text := range []string{"", "unable to connect", wrkReport[:len(wrkReport)-60]} {
		if r, err := parseReport(text); err == nil {
			t.Errorf("read %+v from %q", r, text)
		}
	}
}

func TestRatioComparesWithinARound(t *testing.T) {
	round := func(rates ...float64) (s []sample) {
		for _, rate := range rates {
			s = append(s, sample{report: report{rate: rate}})
		}
		return s
	}
	// The machine slowed down by half in the last two rounds.
	if got := ratioOf(round(200, 100, 110), round(100, 50, 50)); got != 2 {
		t.Errorf("%v; want 2", got)
	}
	if got := median([]float64{4, 1, 3, 2}, func(f float64) float64 { return f }); got != 2.5 {
		t.Errorf("median %v; want 2.5", got)
	}
}

func TestDescendants(t *testing.T) {
	children := map[int][]int{1: {2, 3}, 3: {4}, 9: {10}}
	if got := descendants(children, 1); len(got) != 3 {
		t.Errorf("%v; want 2, 3 and 4", got)
	}
}
