package config

// Durations and sizes: a number with its unit, never a bare number.

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// sizeUnits are tried in this order, so that "B" comes after what ends in it.
var sizeUnits = []struct {
	name  string
	bytes int64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30},
	{"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9},
	{"B", 1},
}

// String is s with the largest unit of 1024 that divides it: "64KiB".
func (s Size) String() string {
	for _, unit := range []struct {
		name  string
		bytes Size
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if s != 0 && s%unit.bytes == 0 {
			return strconv.FormatInt(int64(s/unit.bytes), 10) + unit.name
		}
	}
	return strconv.FormatInt(int64(s), 10) + "B"
}

// parseSize reads "64KiB". The reason says why it can't; "" is good.
func parseSize(text string) (size Size, reason string) {
	if strings.HasPrefix(text, "-") {
		return 0, "is negative"
	}
	for _, unit := range sizeUnits {
		number, ok := strings.CutSuffix(text, unit.name)
		if !ok {
			continue
		}
		n, reason := digits(strings.TrimSpace(number))
		switch {
		case reason != "":
			return 0, reason
		case n > math.MaxInt64/unit.bytes:
			return 0, "is too large"
		}
		return Size(n * unit.bytes), ""
	}
	return 0, noUnit(text, "is not a size")
}

// parseDuration reads Go's "1m30s", and days in front of it: "1d12h".
func parseDuration(text string) (d time.Duration, reason string) {
	if strings.HasPrefix(text, "-") {
		return 0, "is negative"
	}
	if noUnit(text, "") != "" { // Go takes "0" for a duration
		return 0, noUnit(text, "")
	}
	const day = 24 * time.Hour
	rest := text
	if number, after, ok := strings.Cut(text, "d"); ok {
		n, reason := digits(number)
		switch {
		case reason == "is too large", reason == "" && n > int64(math.MaxInt64/day):
			return 0, "is too large"
		case reason != "":
			return 0, "is not a duration"
		}
		d, rest = time.Duration(n)*day, after
		if rest == "" {
			return d, ""
		}
	}
	if !goDuration.MatchString(rest) {
		return 0, "is not a duration"
	}
	more, err := time.ParseDuration(rest)
	switch {
	case err != nil, more > math.MaxInt64-d:
		return 0, "is too large"
	}
	return d + more, ""
}

// goDuration is what time.ParseDuration reads, unless it overflows.
var goDuration = regexp.MustCompile(`^(([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+$`)

// noUnit tells a bare number from anything else that is wrong.
func noUnit(text, otherwise string) string {
	if _, err := strconv.ParseFloat(text, 64); err == nil {
		return "has no unit"
	}
	return otherwise
}

func digits(text string) (n int64, reason string) {
	if text == "" || strings.Trim(text, "0123456789") != "" {
		return 0, "is not a whole number and a unit"
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, "is too large"
	}
	return n, ""
}
