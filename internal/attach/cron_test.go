//go:build unix

package attach

import (
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"millrace/internal/supervise"
)

func job(line string, s Schedule) Job {
	return Job{Line: line, Schedule: s, Command: &supervise.Command{Name: line}}
}

var eachMinute = every(span(0, 23), span(0, 59))

// The clock of a bubble begins at midnight of 1 January 2000, UTC.

func TestJobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, log := newSet()
		f := &fakeStarter{}
		s.Replace(Config{Starter: f, Jobs: []Job{job("each", eachMinute), job("daily", at(set(3), set(0)))}, StopTimeout: 5 * time.Second})
		time.Sleep(90 * time.Second)
		synctest.Wait()
		if all := f.all(); len(all) != 1 || all[0].name != "each" || all[0].began.Second() != 0 || all[0].began.Minute() != 1 {
			t.Fatalf("%+v", all)
		}
		time.Sleep(2 * time.Minute) // it runs still
		synctest.Wait()
		if n := len(f.all()); n != 1 {
			t.Errorf("%d run", n)
		}
		if n := log.count("it runs still since the last time"); n != 2 {
			t.Errorf("skips were told %d times:\n%s", n, log.text())
		}
		_, jobs := s.Status()
		if jobs[0].PID != 100 || jobs[0].Skipped != 2 || jobs[0].Running != 150 || jobs[0].Next.Minute() != 4 || jobs[1].Next.Hour() != 3 {
			t.Errorf("%+v", jobs)
		}

		// A reload: it goes on, and its line is not run a second time.
		s.Replace(Config{Starter: f, Jobs: []Job{job("each", eachMinute)}, StopTimeout: 5 * time.Second})
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := f.all()[0].got(); len(f.all()) != 1 || got != nil {
			t.Errorf("the reload: %d run, the first got %v", len(f.all()), got)
		}
		f.all()[0].end(supervise.Exit{Code: 9})
		time.Sleep(time.Minute)
		synctest.Wait()
		_, jobs = s.Status()
		if last := jobs[0].Last; len(jobs) != 1 || len(f.all()) != 2 || last == nil || last.OK || last.How != "exited with status 9" || last.Took != 210 {
			t.Errorf("%d run; %+v %+v", len(f.all()), jobs, jobs[0].Last)
		}
		if log.count("a cron job has failed") != 1 {
			t.Errorf("log:\n%s", log.text())
		}

		// The end: it has stop_timeout.
		began := time.Now()
		s.Stop()
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("the end took %v", took)
		}
		if got := f.all()[1].got(); !slices.Equal(got, []syscall.Signal{syscall.SIGKILL}) {
			t.Errorf("it got %v", got)
		}
	})
}

// TestJobsThatGo: a line that is no longer configured runs to its end, and not
// again.
func TestJobsThatGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := newSet()
		f := &fakeStarter{}
		s.Replace(Config{Starter: f, Jobs: []Job{job("each", eachMinute)}})
		time.Sleep(time.Minute)
		synctest.Wait()
		s.Replace(Config{Starter: f})
		time.Sleep(time.Minute)
		if _, jobs := s.Status(); len(jobs) != 1 || jobs[0].Next != nil || jobs[0].PID != 100 {
			t.Errorf("%+v", jobs)
		}
		s.Replace(Config{Starter: f, Jobs: []Job{job("each", eachMinute)}}) // it is back, and runs still
		time.Sleep(time.Minute)
		synctest.Wait()
		if _, jobs := s.Status(); len(jobs) != 1 || jobs[0].Skipped != 1 || len(f.all()) != 1 {
			t.Errorf("%+v, %d run", jobs, len(f.all()))
		}
		s.Replace(Config{Starter: f})
		f.all()[0].end(supervise.Exit{})
		synctest.Wait()
		if _, jobs := s.Status(); len(jobs) != 0 {
			t.Errorf("%+v", jobs)
		}
		s.Stop()
	})
}

// TestQuiet: no job begins any more.
func TestQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := newSet()
		f := &fakeStarter{}
		s.Replace(Config{Starter: f, Jobs: []Job{job("each", eachMinute)}})
		s.Quiet()
		time.Sleep(10 * time.Minute)
		s.Replace(Config{Starter: f, Jobs: []Job{job("each", eachMinute)}})
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if n := len(f.all()); n != 0 {
			t.Errorf("%d ran", n)
		}
		s.Stop()
	})
}

// TestClockIsSet: what is due when the clock was not where it was expected.
func TestClockIsSet(t *testing.T) {
	noon := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		name     string
		s        Schedule
		was, now time.Time
		run      bool
		why      bool
		next     time.Time
	}{
		{"nothing happened", eachMinute, noon.Add(30 * time.Second), noon.Add(60 * time.Second), true, false, noon.Add(2 * time.Minute)},
		{"not yet", eachMinute, noon.Add(30 * time.Second), noon.Add(59 * time.Second), false, false, noon.Add(time.Minute)},
		{"a wildcard, an hour on: its next time is near", eachMinute, noon.Add(30 * time.Second), noon.Add(time.Hour), false, true, noon.Add(61 * time.Minute)},
		{"a wildcard, an hour back: the clock counts", eachMinute, noon.Add(30 * time.Second), noon.Add(-time.Hour), false, false, noon.Add(-59 * time.Minute)},
		{"fixed, an hour on: once", at(set(12), set(1)), noon.Add(30 * time.Second), noon.Add(time.Hour), true, false, noon.Add(24*time.Hour + time.Minute)},
		{"fixed, an hour back: not twice", at(set(11), set(30)), noon.Add(30 * time.Second), noon.Add(-time.Hour), false, false, noon.Add(23*time.Hour + 30*time.Minute)},
		{"fixed, a day on: the clock was wrong", at(set(12), set(1)), noon.Add(30 * time.Second), noon.Add(24 * time.Hour), false, true, noon.Add(24*time.Hour + time.Minute)},
		{"fixed, a day back: the clock was wrong", at(set(12), set(1)), noon.Add(30 * time.Second), noon.Add(-24 * time.Hour), false, false, noon.Add(-24*time.Hour + time.Minute)},
	} {
		e := &entry{job: job(test.name, test.s), next: test.s.Next(test.was)}
		run, why := e.due(test.was, test.now)
		if run != test.run || (why != "") != test.why || !e.next.Equal(test.next) {
			t.Errorf("%s: run %v, %q, next %v; want %v, %v", test.name, run, why, e.next, test.run, test.next)
		}
	}
}
