package main

// An open load: requests are sent at their times, whatever the answers do.

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"
)

// arrival is one request of an open load.
type arrival struct {
	after time.Duration // of the load's begin
	long  bool          // it asks for /long, not for /short
}

// arrivals is a Poisson process at a rate, with a share of long requests.
func arrivals(seed uint64, rate, long float64, length time.Duration) []arrival {
	r := rand.New(rand.NewPCG(seed, 1))
	var all []arrival
	for at := time.Duration(0); ; {
		at += time.Duration(r.ExpFloat64() / rate * float64(time.Second))
		if at > length {
			return all
		}
		all = append(all, arrival{after: at, long: r.Float64() < long})
	}
}

// outcome is what became of a request.
type outcome struct {
	long   bool
	status int
	took   time.Duration
	ended  time.Duration // after the load's begin
	err    error
}

// whole is an error if the request was not answered with success.
func (o outcome) whole() error {
	if o.err == nil && o.status != http.StatusOK {
		return fmt.Errorf("a request was answered with %d", o.status)
	}
	return o.err
}

// openLoad sends the arrivals and waits for all answers.
func openLoad(ctx context.Context, base string, all []arrival) []outcome {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 2000, DisableCompression: true}, Timeout: time.Minute}
	defer client.CloseIdleConnections()
	outcomes := make([]outcome, len(all))
	var wg sync.WaitGroup
	begin := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for i, a := range all {
		timer.Reset(time.Until(begin.Add(a.after)))
		<-timer.C
		if ctx.Err() != nil {
			outcomes = outcomes[:i]
			break
		}
		wg.Go(func() {
			path := "/short"
			if a.long {
				path = "/long"
			}
			sent := time.Now()
			status, err := get(ctx, client, base+path)
			now := time.Now()
			outcomes[i] = outcome{a.long, status, now.Sub(sent), now.Sub(begin), err}
		})
	}
	wg.Wait()
	return outcomes
}

// get reads a whole answer.
func get(ctx context.Context, client *http.Client, url string) (status int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

// percentile is of latencies; 0 if there are none.
func percentile(all []time.Duration, share float64) time.Duration {
	if len(all) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(all))
	return sorted[min(len(sorted)-1, int(share*float64(len(sorted))))]
}
