package config

import (
	"math"
	"testing"
	"time"
)

func TestParseSize(t *testing.T) {
	for text, want := range map[string]Size{
		"0B": 0, "1B": 1, "64KiB": 65536, "64 KiB": 65536, "3MiB": 3 << 20, "2GiB": 2 << 30,
		"1KB": 1000, "5MB": 5e6, "10GB": 1e10, "9223372036854775807B": math.MaxInt64, "8589934591GiB": 8589934591 << 30,
	} {
		got, reason := parseSize(text)
		if got != want || reason != "" {
			t.Errorf("%q is %d (%s), want %d", text, got, reason, want)
		}
		if again, reason := parseSize(got.String()); again != got || reason != "" {
			t.Errorf("%q is written %q, which is %d (%s)", text, got, again, reason)
		}
	}
	for text, want := range map[string]string{
		"": "is not a size", "64": "has no unit", "6.4": "has no unit", "-1B": "is negative", "-": "is negative",
		"64k": "is not a size", "64Kib": "is not a size", "64kB": "is not a whole number and a unit",
		"B": "is not a whole number and a unit", "1.5GiB": "is not a whole number and a unit", "+1B": "is not a whole number and a unit",
		"9223372036854775808B": "is too large", "8589934592GiB": "is too large", "1TiB": "is not a whole number and a unit",
	} {
		if _, reason := parseSize(text); reason != want {
			t.Errorf("%q: %q, want %q", text, reason, want)
		}
	}
}

func TestParseDuration(t *testing.T) {
	const day = 24 * time.Hour
	for text, want := range map[string]time.Duration{
		"0s": 0, "30s": 30 * time.Second, "1m30s": 90 * time.Second, "1.5h": 90 * time.Minute, "250ms": 250 * time.Millisecond,
		"1d": day, "2d1h": 49 * time.Hour, "0d5s": 5 * time.Second, "106751d": 106751 * day, "3us": 3 * time.Microsecond,
	} {
		if got, reason := parseDuration(text); got != want || reason != "" {
			t.Errorf("%q is %s (%s), want %s", text, got, reason, want)
		}
	}
	for text, want := range map[string]string{
		"": "is not a duration", "0": "has no unit", "30": "has no unit", "1.5": "has no unit", "-1s": "is negative",
		"soon": "is not a duration", "30 s": "is not a duration", "1h30": "is not a duration", "+5s": "is not a duration",
		"1.5d": "is not a duration", "d": "is not a duration", "1d-5m": "is not a duration", "1d1d": "is not a duration",
		"99999999999h": "is too large", "106752d": "is too large", "99999999999999999999d": "is too large", "106751d24h": "is too large",
	} {
		if _, reason := parseDuration(text); reason != want {
			t.Errorf("%q: %q, want %q", text, reason, want)
		}
	}
}

func TestNearest(t *testing.T) {
	names := []string{"min_spare", "max_spare", "wsgi", "env", "dir"}
	for name, want := range map[string]string{
		"min_spares": "min_spare", "minspare": "min_spare", "Min-Spare": "min_spare", "max_sapre": "max_spare",
		"wsig": "wsgi", "evn": "env", "direct": "", "": "", "xyz": "", "command": "",
	} {
		if got := nearest(name, names); got != want {
			t.Errorf("%q is near %q, want %q", name, got, want)
		}
	}
}
