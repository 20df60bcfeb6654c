package pool

// Handovers that end early for another reason than the taker's death: the host
// has one reader all the same.

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestNotGivenNow: a process that cannot be given for want of descriptors goes
// once there are some; the host stays where it is.
func TestNotGivenNow(t *testing.T) {
	f, _, log := handable(t, 2)
	p := f.now.Load()
	pids := p.told(t)
	x, ended := handing(t, p.Pool)
	x.said(t, "offer")
	x.says(t, "accept")
	x.said(t, "host")

	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	restore := func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			t.Fatal(err)
		}
	}
	defer restore()
	none := limit
	none.Cur = 3 // those that are open stay so
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	x.says(t, "taken")
	log.wait(t, "a worker cannot be handed over now", "too many open files")
	restore()

	for i := range 2 {
		m := x.said(t, "process")
		if !slices.Contains(pids, m.Process.PID) {
			t.Errorf("process %d, not one of %v", m.Process.PID, pids)
		}
		x.said(t, "channel")
		x.says(t, "taken")
		if i == 0 {
			p.Drained()
		}
	}
	x.said(t, "end")
	if err := wait(t, ended); err != nil {
		t.Error(err)
	}
	if text := log.String(); strings.Contains(text, "broke off") || strings.Count(text, "cannot be handed over now") != 1 {
		t.Errorf("the log:\n%s", text)
	}
}

// TestTakerStops: one that lives and takes no more keeps the host; what is left
// serves on at the giver's, until that ends or is told that the taker failed.
func TestTakerStops(t *testing.T) {
	for _, failed := range []bool{false, true} {
		f, url, log := handable(t, 2)
		p := f.now.Load()
		pids := p.told(t)
		giver, taker := wire(t)
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		ended := make(chan error, 1)
		go func() { ended <- p.HandOver(ctx, giver) }()
		x, err := newExchange(taker)
		if err != nil {
			t.Fatal(err)
		}
		x.said(t, "offer")
		x.says(t, "accept")
		x.said(t, "host")
		x.says(t, "taken")
		if err := x.send(exchangeMessage{Do: "refuse", Reason: "for this test"}); err != nil {
			t.Fatal(err)
		}
		x.close()
		log.wait(t, "no more workers are handed over", "for this test")
		if now := p.workerPIDs(); !slices.Equal(now, pids) {
			t.Errorf("the workers were %v, now %v", pids, now)
		}
		if code, _ := get(t, url+"/pid"); code != 200 {
			t.Errorf("status %d", code)
		}
		if text := log.String(); strings.Contains(text, "a new generation starts") {
			t.Errorf("the host is taken back:\n%s", text)
		}
		if !failed {
			p.Drained()
			if err := wait(t, ended); err == nil || !strings.Contains(err.Error(), "for this test") {
				t.Errorf("%v", err)
			}
			continue
		}
		cancel()
		if err := wait(t, ended); err == nil {
			t.Error("HandOver succeeded")
		}
		eventually(t, func() error {
			if s := p.Status(); s.Generation != 2 || s.Idle != 2 {
				return fmt.Errorf("%+v\n%s", s, log)
			}
			return nil
		})
	}
}

// TestTakerSaysSo: a pool that breaks a handover off says so, so that the giver
// does not take it for dead.
func TestTakerSaysSo(t *testing.T) {
	f, _, log := handable(t, 2)
	old := f.now.Load()
	x, ended := handing(t, old.Pool)
	middle, taker := wire(t)
	next := f.start(taker)
	to, err := newExchange(middle)
	if err != nil {
		t.Fatal(err)
	}
	defer to.close()
	relay := func(from, to *exchange, kind string) {
		t.Helper()
		m, fds, err := from.expect(context.Background(), kind)
		if err == nil {
			err = to.send(m, fds...)
		}
		for _, fd := range fds {
			closeFD(fd)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	relay(x, to, "offer")
	relay(to, x, "accept")
	relay(x, to, "host")
	relay(to, x, "taken")
	to.says(t, "accept")
	relay(to, x, "refuse")
	x.close()
	log.wait(t, "no more workers are handed over")
	f.now.Store(next)
	next.waitAtRest(t, 2)
	old.Drained()
	if err := wait(t, ended); err == nil {
		t.Error("HandOver succeeded")
	}
	old.stop(t)
	next.waitAtRest(t, 2)
	if s := next.Status(); s.Generation != 1 || s.HostPID == 0 {
		t.Errorf("%+v\n%s", s, log)
	}
	if strings.Contains(log.String(), "a new generation starts") {
		t.Errorf("the host is taken back:\n%s", log)
	}
}

// TestTakerGone: which errors are a death.
func TestTakerGone(t *testing.T) {
	for _, tt := range []struct {
		err  error
		says string
		gone bool
	}{
		{unix.EPIPE, "", true},
		{unix.ECONNRESET, "", true},
		{unix.EPIPE, "taken", true},
		{unix.EPIPE, "refuse", false},
		{unix.EMFILE, "", false},
		{errors.New("any other"), "", false},
	} {
		a, b := wire(t)
		x, err := newExchange(a)
		if err != nil {
			t.Fatal(err)
		}
		y, err := newExchange(b)
		if err != nil {
			t.Fatal(err)
		}
		if tt.says != "" {
			y.says(t, tt.says)
		}
		y.close()
		if gone, _ := x.takerGone(fmt.Errorf("wrapped: %w", tt.err)); gone != tt.gone {
			t.Errorf("%v, then %q: %v", tt.err, tt.says, gone)
		}
		x.close()
	}
}
