package attach

// When a line of a crontab is due: pure functions of the clock.

import "time"

// Schedule is the times of a line of a crontab. Each set has a bit for each
// number that its field allows.
type Schedule struct {
	Minute, Hour, Day, Month, Weekday uint64 // of Weekday: 0 is Sunday

	// AnyDay and AnyWeekday say that their fields begin with "*": both must
	// match then. Otherwise either is enough.
	AnyDay, AnyWeekday bool

	// Wildcard says that the minute or the hour begins with "*". Such a job
	// follows the clock through a change to or from daylight saving: it is not
	// run in an hour that is skipped, and runs in both of a doubled one. Any
	// other is at a fixed time, and runs once either way: right after a skip,
	// or in the first of two.
	Wildcard bool
}

// farthest is how many days are looked through for the next time. A 29th of
// February that must be a Sunday may be 40 years away.
const farthest = 41 * 366

// Next returns the first time after a given one, in its location; the zero
// time if there is none (a 30th of February).
func (s *Schedule) Next(after time.Time) time.Time {
	loc := after.Location()
	year, month, day := after.Date()
	// From the day before: a skip may put a job of yesterday's last minutes
	// into today.
	for n := -1; n < farthest; n++ {
		date := time.Date(year, month, day+n, 0, 0, 0, 0, time.UTC)
		if !s.onDay(date) {
			continue
		}
		if t := s.firstOf(date, after, loc); !t.IsZero() {
			return t
		}
	}
	return time.Time{}
}

// onDay reports whether the job runs on a date.
func (s *Schedule) onDay(date time.Time) bool {
	day, weekday := has(s.Day, date.Day()), has(s.Weekday, int(date.Weekday()))
	if s.AnyDay || s.AnyWeekday {
		return has(s.Month, int(date.Month())) && day && weekday
	}
	return has(s.Month, int(date.Month())) && (day || weekday)
}

// firstOf is the first time on a date that is after a given one.
func (s *Schedule) firstOf(date, after time.Time, loc *time.Location) time.Time {
	var first time.Time
	for hour := range 24 {
		if !has(s.Hour, hour) {
			continue
		}
		for minute := range 60 {
			if !has(s.Minute, minute) {
				continue
			}
			wall := date.Add(time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute)
			for _, t := range s.moments(wall, loc) {
				if t.After(after) && (first.IsZero() || t.Before(first)) {
					first = t
				}
			}
		}
	}
	return first
}

// moments are the times at which a job of a time on the wall (written as if
// it were UTC) runs: mostly one; none or two of a wildcard where clocks change.
func (s *Schedule) moments(wall time.Time, loc *time.Location) []time.Time {
	// More than any zone is from UTC, and less than two changes are apart.
	const near = 26 * time.Hour
	_, before := wall.Add(-near).In(loc).Zone()
	_, behind := wall.Add(near).In(loc).Zone()
	early := wall.Add(-time.Duration(before) * time.Second).In(loc)
	if before == behind {
		return []time.Time{early}
	}
	late := wall.Add(-time.Duration(behind) * time.Second).In(loc)
	_, offset := early.Zone()
	isEarly := offset == before
	_, offset = late.Zone()
	isLate := offset == behind
	switch {
	case isEarly && isLate && s.Wildcard:
		return []time.Time{early, late}
	case isEarly:
		return []time.Time{early}
	case isLate:
		return []time.Time{late}
	case s.Wildcard:
		return nil
	}
	skip, _ := early.ZoneBounds() // early is a time of the new zone
	return []time.Time{skip}
}

func has(set uint64, n int) bool { return set&(1<<n) != 0 }
