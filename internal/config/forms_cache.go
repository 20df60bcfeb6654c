package config

// Forms of the cache of responses.

import (
	"strconv"
	"strings"
)

var (
	formCacheTTL    = form{takes: `a table: a status, or any, to a duration: { 200 = "10m", any = "1m" }`, check: checkTTL, name: checkTTLStatus}
	formCookieNames = form{takes: `names of cookies, "*" at the end for all that begin so, like ["sessionid", "wp_*"]`, check: checkCookieName}
	formBypass      = form{takes: `texts with placeholders, like ["{query.preview}"]`, some: true, texts: true, check: checkBypass}
	formCacheIgnore = form{takes: `"cache-control", "expires", "x-accel-expires", "set-cookie" and "vary", or some of them`, some: true, check: checkCacheIgnore}
)

func checkTTL(_, text string) (string, *refusal) {
	if _, reason := parseDuration(text); reason != "" {
		return "", refuse(reason)
	}
	return text, nil
}

func checkTTLStatus(text string) (string, *refusal) {
	if text == "any" {
		return text, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 200 || n > 599 || len(text) != 3 {
		return "", refuse("is not a status")
	}
	if n == 206 || n == 304 {
		return "", refuse("is the status of a response that is never cached")
	}
	return text, nil
}

func checkCookieName(_, text string) (string, *refusal) {
	name := strings.TrimSuffix(text, "*")
	for i := range len(name) {
		if c := name[i]; c <= ' ' || c >= 0x7f || strings.IndexByte("()<>@,;:\\\"/[]?={}*", c) >= 0 {
			return "", refuse("is not a name of a cookie")
		}
	}
	return text, nil
}

func checkBypass(_, text string) (string, *refusal) {
	if !strings.Contains(text, "{") {
		return "", &refusal{"is the same for every request", `name what tells them apart, like "{cookie.nocache}"`}
	}
	return text, nil
}

func checkCacheIgnore(_, text string) (string, *refusal) {
	return oneOf(strings.ToLower(text), "is not a header that the cache looks at", "cache-control", "expires", "x-accel-expires", "set-cookie", "vary")
}

// Duration is a duration of Cache.TTL. Package config has checked it.
func Duration(text string) int64 {
	d, _ := parseDuration(text)
	return int64(d)
}
