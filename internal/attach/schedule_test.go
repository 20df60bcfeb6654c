package attach

import (
	"testing"
	"time"
	_ "time/tzdata" // the test is about Berlin wherever it runs
)

// set is the bits of some numbers.
func set(numbers ...int) uint64 {
	var s uint64
	for _, n := range numbers {
		s |= 1 << n
	}
	return s
}

func span(from, to int) (s uint64) {
	for n := from; n <= to; n++ {
		s |= 1 << n
	}
	return s
}

// at is a job of every day at fixed minutes of fixed hours.
func at(hours, minutes uint64) Schedule {
	return Schedule{Minute: minutes, Hour: hours, Day: span(1, 31), Month: span(1, 12), Weekday: span(0, 6), AnyDay: true, AnyWeekday: true}
}

// every is one whose minute or hour is a wildcard.
func every(hours, minutes uint64) Schedule {
	s := at(hours, minutes)
	s.Wildcard = true
	return s
}

func on(s Schedule, day, month, weekday uint64, anyDay, anyWeekday bool) Schedule {
	s.Day, s.Month, s.Weekday, s.AnyDay, s.AnyWeekday = day, month, weekday, anyDay, anyWeekday
	return s
}

func TestNext(t *testing.T) {
	all := span(0, 23)
	for _, test := range []struct {
		name  string
		s     Schedule
		place string
		after string
		want  []string // one after the other
	}{
		{"each 5 minutes", every(all, set(0, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55)), "Europe/Berlin",
			"2026-06-01T12:04:59+02:00", []string{"2026-06-01T12:05:00+02:00", "2026-06-01T12:10:00+02:00"}},
		{"at the minute itself: the next", every(all, span(0, 59)), "Europe/Berlin",
			"2026-06-01T12:05:00+02:00", []string{"2026-06-01T12:06:00+02:00"}},
		{"over midnight and a year's end", at(set(3), set(30)), "Europe/Berlin",
			"2026-12-31T03:30:00+01:00", []string{"2027-01-01T03:30:00+01:00"}},

		// Clocks go from 2:00 to 3:00 on 29 March 2026.
		{"fixed, in the hour that is skipped", at(set(2), set(30)), "Europe/Berlin",
			"2026-03-28T02:30:00+01:00", []string{"2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"}},
		{"fixed, twice in it: once", at(set(2), set(15, 45)), "Europe/Berlin",
			"2026-03-28T12:00:00+01:00", []string{"2026-03-29T03:00:00+02:00", "2026-03-30T02:15:00+02:00"}},
		{"fixed, just after it", at(set(3), set(0)), "Europe/Berlin",
			"2026-03-28T12:00:00+01:00", []string{"2026-03-29T03:00:00+02:00", "2026-03-30T03:00:00+02:00"}},
		{"fixed, just before it", at(set(1), set(59)), "Europe/Berlin",
			"2026-03-28T12:00:00+01:00", []string{"2026-03-29T01:59:00+01:00", "2026-03-30T01:59:00+02:00"}},
		{"wildcard: follows the clock", every(all, set(0, 30)), "Europe/Berlin",
			"2026-03-29T01:30:00+01:00", []string{"2026-03-29T03:00:00+02:00", "2026-03-29T03:30:00+02:00"}},
		{"wildcard in the hour that is skipped alone", every(set(2), span(0, 59)), "Europe/Berlin",
			"2026-03-28T02:59:00+01:00", []string{"2026-03-30T02:00:00+02:00"}},

		// Clocks go from 3:00 back to 2:00 on 25 October 2026.
		{"fixed, in the hour that is doubled", at(set(2), set(30)), "Europe/Berlin",
			"2026-10-24T02:30:00+02:00", []string{"2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"}},
		{"fixed, asked between the two", at(set(2), set(30)), "Europe/Berlin",
			"2026-10-25T02:10:00+01:00", []string{"2026-10-26T02:30:00+01:00"}},
		{"fixed, two of the doubled hour", at(set(2), set(0, 30)), "Europe/Berlin",
			"2026-10-25T01:00:00+02:00", []string{"2026-10-25T02:00:00+02:00", "2026-10-25T02:30:00+02:00", "2026-10-26T02:00:00+01:00"}},
		{"wildcard: both hours", every(all, set(0, 30)), "Europe/Berlin",
			"2026-10-25T01:30:00+02:00", []string{"2026-10-25T02:00:00+02:00", "2026-10-25T02:30:00+02:00",
				"2026-10-25T02:00:00+01:00", "2026-10-25T02:30:00+01:00", "2026-10-25T03:00:00+01:00"}},
		{"fixed, after it", at(set(3), set(0)), "Europe/Berlin",
			"2026-10-24T12:00:00+02:00", []string{"2026-10-25T03:00:00+01:00"}},

		// Half an hour, in the south.
		{"Lord Howe skips 2:00 to 2:30", at(set(2), set(10)), "Australia/Lord_Howe",
			"2026-10-03T12:00:00+10:30", []string{"2026-10-04T02:30:00+11:00", "2026-10-05T02:10:00+11:00"}},
		// Clocks go from midnight to 1:00 on 8 March 2026.
		{"midnight is skipped in Havana", at(set(0), set(0)), "America/Havana",
			"2026-03-07T12:00:00-05:00", []string{"2026-03-08T01:00:00-04:00", "2026-03-09T00:00:00-04:00"}},

		{"a weekday", on(at(set(9), set(0)), span(1, 31), span(1, 12), set(1), true, false), "Europe/Berlin",
			"2026-06-03T00:00:00+02:00", []string{"2026-06-08T09:00:00+02:00"}},
		{"a day or a weekday", on(at(set(9), set(0)), set(5), span(1, 12), set(1), false, false), "Europe/Berlin",
			"2026-06-03T00:00:00+02:00", []string{"2026-06-05T09:00:00+02:00", "2026-06-08T09:00:00+02:00"}},
		{"a day and a weekday: */2 begins with *", on(at(set(9), set(0)), set(1, 3, 5, 7, 9), span(1, 12), set(1), true, false), "Europe/Berlin",
			"2026-06-02T00:00:00+02:00", []string{"2026-08-03T09:00:00+02:00"}},
		{"a leap day", on(at(set(0), set(0)), set(29), set(2), span(0, 6), false, true), "UTC",
			"2026-06-01T00:00:00Z", []string{"2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z"}},
		{"none in 2100", on(at(set(0), set(0)), set(29), set(2), span(0, 6), false, true), "UTC",
			"2096-03-01T00:00:00Z", []string{"2104-02-29T00:00:00Z"}},
		{"a 30th of February", on(at(set(0), set(0)), set(30), set(2), span(0, 6), false, true), "UTC",
			"2026-06-01T00:00:00Z", []string{""}},
	} {
		place, err := time.LoadLocation(test.place)
		if err != nil {
			t.Fatal(err)
		}
		now, err := time.Parse(time.RFC3339, test.after)
		if err != nil {
			t.Fatal(err)
		}
		for n, want := range test.want {
			now = test.s.Next(now.In(place))
			got := ""
			if !now.IsZero() {
				got = now.Format(time.RFC3339)
			}
			if got != want {
				t.Errorf("%s: run %d is at %q, want %q", test.name, n, got, want)
				break
			}
		}
	}
}

// TestNextIsLaterAndDue: over two years of every zone's changes, each time is
// later than the one before, on a minute that the job names.
func TestNextIsLaterAndDue(t *testing.T) {
	s := every(set(0, 1, 2, 3, 23), set(0, 29, 59))
	for _, name := range []string{"Europe/Berlin", "America/Havana", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia"} {
		place, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		last := time.Date(2011, 1, 1, 0, 0, 0, 0, place)
		for last.Year() < 2013 {
			next := s.Next(last)
			if !next.After(last) || next.Sub(last) > 48*time.Hour || !has(s.Hour, next.Hour()) || !has(s.Minute, next.Minute()) {
				t.Fatalf("%s: after %v comes %v", name, last, next)
			}
			last = next
		}
	}
}
