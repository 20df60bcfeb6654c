package config

// Lines of a crontab: five fields and a command.

import (
	"fmt"
	"strconv"
	"strings"
)

// checkCron takes the five fields of crontab(5), or one of its words, and
// leaves the command alone.
func checkCron(_, text string) (string, *refusal) {
	if _, err := ParseCron(text); err != nil {
		return "", &refusal{err.Error(), ""}
	}
	return text, nil
}

// Cron is a line of a crontab: when, and what. Each set has a bit for each
// number that its field allows.
type Cron struct {
	Minute, Hour, Day, Month, Weekday uint64 // of Weekday: 0 is Sunday

	// AnyDay and AnyWeekday say that their fields begin with "*": the command
	// runs when both match. Otherwise either is enough, as in crontab(5).
	AnyDay, AnyWeekday bool

	// Wildcard says that the minute or the hour begins with "*": the command
	// does not run at a fixed time, and a change to or from daylight saving is
	// nothing to it, as in cron(8).
	Wildcard bool

	Command string // for /bin/sh -c
}

// cronWords stand for the five fields.
var cronWords = map[string]string{
	"@hourly": "0 * * * *", "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@weekly": "0 0 * * 0",
	"@monthly": "0 0 1 * *", "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *",
}

var cronFields = []struct {
	name     string
	min, max int
	words    string // three letters each, the first is min
}{
	{"minute", 0, 59, ""}, {"hour", 0, 23, ""}, {"day", 1, 31, ""},
	{"month", 1, 12, "janfebmaraprmayjunjulaugsepoctnovdec"},
	{"weekday", 0, 7, "sunmontuewedthufrisat"},
}

// ParseCron reads a line of a crontab.
func ParseCron(line string) (*Cron, error) {
	rest := strings.TrimSpace(line)
	if word, after, _ := strings.Cut(rest, " "); strings.HasPrefix(word, "@") {
		fields, ok := cronWords[word]
		if !ok {
			return nil, fmt.Errorf("%s is not one of @hourly, @daily, @weekly, @monthly and @yearly", short(word))
		}
		rest = fields + " " + after
	}
	c := &Cron{}
	sets := []*uint64{&c.Minute, &c.Hour, &c.Day, &c.Month, &c.Weekday}
	for i, f := range cronFields {
		rest = strings.TrimLeft(rest, " \t")
		end := strings.IndexAny(rest, " \t")
		if end < 0 {
			fields := i
			if rest != "" {
				fields++
			}
			return nil, fmt.Errorf("has %d fields and no command behind five of them", fields)
		}
		set, err := cronSet(rest[:end], f.min, f.max, f.words)
		if err != nil {
			return nil, fmt.Errorf("its %s %q %w", f.name, short(rest[:end]), err)
		}
		*sets[i] = set
		switch f.name {
		case "minute", "hour":
			c.Wildcard = c.Wildcard || rest[0] == '*'
		case "day":
			c.AnyDay = rest[0] == '*'
		case "weekday":
			c.AnyWeekday = rest[0] == '*'
		}
		rest = rest[end:]
	}
	if c.Weekday&(1<<7) != 0 { // Sunday too
		c.Weekday = c.Weekday&^(1<<7) | 1
	}
	if c.Command = strings.TrimSpace(rest); c.Command == "" {
		return nil, fmt.Errorf("has no command")
	}
	return c, nil
}

// cronSet reads one field: "*", "5", "1-5", "*/15", "mon,wed", "10-50/20".
func cronSet(field string, least, most int, words string) (uint64, error) {
	var set uint64
	for part := range strings.SplitSeq(field, ",") {
		span, every, stepped := strings.Cut(part, "/")
		step := 1
		if stepped {
			n, err := strconv.Atoi(every)
			if err != nil || n < 1 || n > most {
				return 0, fmt.Errorf("has a step that is not from 1 to %d", most)
			}
			step = n
		}
		from, to := least, most
		if span != "*" {
			low, high, ranged := strings.Cut(span, "-")
			var ok bool
			if from, ok = cronNumber(low, least, most, words); !ok {
				return 0, fmt.Errorf("is not from %d to %d", least, most)
			}
			switch {
			case ranged:
				if to, ok = cronNumber(high, least, most, words); !ok {
					return 0, fmt.Errorf("is not from %d to %d", least, most)
				}
			case !stepped:
				to = from
			}
			if from > to {
				return 0, fmt.Errorf("is a range that ends before it begins")
			}
		}
		for n := from; n <= to; n += step {
			set |= 1 << n
		}
	}
	return set, nil
}

func cronNumber(text string, least, most int, words string) (int, bool) {
	if len(text) == 3 {
		if i := strings.Index(words, strings.ToLower(text)); i >= 0 && i%3 == 0 {
			return least + i/3, true
		}
	}
	n, err := strconv.Atoi(text)
	return n, err == nil && n >= least && n <= most && text[0] != '+'
}
