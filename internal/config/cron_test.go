package config

import (
	"math/bits"
	"strconv"
	"strings"
	"testing"
)

// set is the bits of numbers.
func set(numbers ...int) uint64 {
	var s uint64
	for _, n := range numbers {
		s |= 1 << n
	}
	return s
}

// span is the bits of a range.
func span(from, to int) uint64 {
	var s uint64
	for n := from; n <= to; n++ {
		s |= 1 << n
	}
	return s
}

func TestParseCron(t *testing.T) {
	every := Cron{Minute: span(0, 59), Hour: span(0, 23), Day: span(1, 31), Month: span(1, 12), Weekday: span(0, 6)}
	for _, test := range []struct {
		line string
		want func(c *Cron) // changes every
	}{
		{"* * * * * true", func(c *Cron) { c.Wildcard, c.AnyDay, c.AnyWeekday = true, true, true }},
		{"\t0  0\t1 1 0   echo  a  b ", func(c *Cron) {
			c.Minute, c.Hour, c.Day, c.Month, c.Weekday, c.Command = set(0), set(0), set(1), set(1), set(0), "echo  a  b"
		}},
		{"59 23 31 12 7 true", func(c *Cron) {
			c.Minute, c.Hour, c.Day, c.Month, c.Weekday = set(59), set(23), set(31), set(12), set(0)
		}},
		{"*/15 9-17 1,15 */3 mon-fri true", func(c *Cron) {
			c.Minute, c.Hour, c.Day, c.Month, c.Weekday = set(0, 15, 30, 45), span(9, 17), set(1, 15), set(1, 4, 7, 10), span(1, 5)
			c.Wildcard = true
		}},
		{"10-50/20 1/5 2-10/3,28-30 JAN,mar,Dec sun,5-7 true", func(c *Cron) {
			c.Minute, c.Hour, c.Day = set(10, 30, 50), set(1, 6, 11, 16, 21), set(2, 5, 8, 28, 29, 30)
			c.Month, c.Weekday = set(1, 3, 12), set(0, 5, 6)
		}},
		{"0 0 */2 * * true", func(c *Cron) {
			c.Minute, c.Hour, c.AnyDay, c.AnyWeekday = set(0), set(0), true, true
			c.Day = 0
			for n := 1; n <= 31; n += 2 {
				c.Day |= 1 << n
			}
		}},
		{"0-0 00 01 * 0-7 true", func(c *Cron) {
			c.Minute, c.Hour, c.Day = set(0), set(0), set(1)
		}},
		{"@hourly true", func(c *Cron) { c.Minute, c.Wildcard, c.AnyDay, c.AnyWeekday = set(0), true, true, true }},
		{"@daily true", func(c *Cron) { c.Minute, c.Hour, c.AnyDay, c.AnyWeekday = set(0), set(0), true, true }},
		{"@midnight true", func(c *Cron) { c.Minute, c.Hour, c.AnyDay, c.AnyWeekday = set(0), set(0), true, true }},
		{"@weekly true", func(c *Cron) { c.Minute, c.Hour, c.Weekday, c.AnyDay = set(0), set(0), set(0), true }},
		{"@monthly true", func(c *Cron) { c.Minute, c.Hour, c.Day, c.AnyWeekday = set(0), set(0), set(1), true }},
		{"@yearly  true", func(c *Cron) { c.Minute, c.Hour, c.Day, c.Month, c.AnyWeekday = set(0), set(0), set(1), set(1), true }},
		{"* * * * * 100% # of it; rm -rf '$X'", func(c *Cron) {
			c.Wildcard, c.AnyDay, c.AnyWeekday, c.Command = true, true, true, "100% # of it; rm -rf '$X'"
		}},
	} {
		want := every
		want.Command = "true"
		test.want(&want)
		got, err := ParseCron(test.line)
		if err != nil || *got != want {
			t.Errorf("%q: got %+v, %v; want %+v", test.line, got, err, want)
		}
	}
}

func TestParseCronRefuses(t *testing.T) {
	for line, want := range map[string]string{
		"":                            "has 0 fields and no command behind five of them",
		"* * * *":                     "has 4 fields and no command behind five of them",
		"* * * * *":                   "has 5 fields and no command behind five of them",
		"* * * * * \t":                "has 5 fields and no command behind five of them",
		"@daily":                      "has no command",
		"@reboot true":                "@reboot is not one of @hourly, @daily, @weekly, @monthly and @yearly",
		"60 * * * * true":             `its minute "60" is not from 0 to 59`,
		"-1 * * * * true":             `its minute "-1" is not from 0 to 59`,
		"+1 * * * * true":             `its minute "+1" is not from 0 to 59`,
		"1- * * * * true":             `its minute "1-" is not from 0 to 59`,
		"1,, * * * * true":            `its minute "1,," is not from 0 to 59`,
		"* 24 * * * true":             `its hour "24" is not from 0 to 23`,
		"* * 0 * * true":              `its day "0" is not from 1 to 31`,
		"* * 32 * * true":             `its day "32" is not from 1 to 31`,
		"* * * 13 * true":             `its month "13" is not from 1 to 12`,
		"* * * mon * true":            `its month "mon" is not from 1 to 12`,
		"* * * anf * true":            `its month "anf" is not from 1 to 12`,
		"* * * * 8 true":              `its weekday "8" is not from 0 to 7`,
		"* * * * jan true":            `its weekday "jan" is not from 0 to 7`,
		"30-10 * * * * true":          `its minute "30-10" is a range that ends before it begins`,
		"*/0 * * * * true":            `its minute "*/0" has a step that is not from 1 to 59`,
		"*/60 * * * * true":           `its minute "*/60" has a step that is not from 1 to 59`,
		"*/-1 * * * * true":           `its minute "*/-1" has a step that is not from 1 to 59`,
		"*/ * * * * true":             `its minute "*/" has a step that is not from 1 to 59`,
		"1.5 * * * * true":            `its minute "1.5" is not from 0 to 59`,
		"99999999999999999 * * * * x": `its minute "99999999999999999" is not from 0 to 59`,
	} {
		if got, err := ParseCron(line); err == nil || err.Error() != want {
			t.Errorf("%q: got %+v, %v; want %s", line, got, err, want)
		}
	}
}

// Whatever the line, each field has something in it, within its bounds, and
// means the same when it is written number by number.
func FuzzParseCron(f *testing.F) {
	for _, line := range []string{"* * * * * true", "*/15 9-17 1,15 */3 mon-fri true", "@daily x", "10-50/20 1/5 2 JAN sun,5-7 y", "7 7 7 7 7 7"} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		c, err := ParseCron(line)
		if err != nil {
			return
		}
		var again []string
		for i, field := range []uint64{c.Minute, c.Hour, c.Day, c.Month, c.Weekday} {
			bounds := cronFields[i]
			if field == 0 || field&^span(bounds.min, bounds.max) != 0 {
				t.Fatalf("%q: %s is %b", line, bounds.name, field)
			}
			var numbers []string
			for rest := field; rest != 0; rest &= rest - 1 {
				numbers = append(numbers, strconv.Itoa(bits.TrailingZeros64(rest)))
			}
			again = append(again, strings.Join(numbers, ","))
		}
		if c.Command != strings.TrimSpace(c.Command) || c.Command == "" {
			t.Fatalf("%q: the command is %q", line, c.Command)
		}
		back, err := ParseCron(strings.Join(again, " ") + " " + c.Command)
		want := *c
		want.Wildcard, want.AnyDay, want.AnyWeekday = false, false, false
		if err != nil || *back != want {
			t.Fatalf("%q is %+v; written as %q it is %+v, %v", line, *c, again, back, err)
		}
	})
}
