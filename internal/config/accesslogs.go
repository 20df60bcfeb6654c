package config

// What sites say of their access logs.

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

var formLogFormat = form{takes: `"combined", "vhost", "json", or a text with placeholders like '{client} "{request}" {status}'`, texts: true, names: logNames(), response: true, check: checkLogFormat}

// LogNames are the placeholders of log_format beside those of every text. Those
// of package accesslog are the same: a test of package server holds that.
var LogNames = []string{
	"status", "bytes", "duration", "request_time_ms", "time", "time_iso", "time_unix", "request", "protocol",
	"user", "site", "app", "upstream", "upstream_time", "response.NAME",
}

// logNames are LogNames as a form has them.
func logNames() []string {
	names := slices.Clone(LogNames)
	for i := range names {
		names[i] = strings.Replace(names[i], "NAME", "*", 1)
	}
	return names
}

func checkLogFormat(_, text string) (string, *refusal) {
	if text == "combined" || text == "vhost" || text == "json" {
		return text, nil
	}
	if !strings.Contains(text, "{") {
		return oneOf(text, "is not a format, and holds no placeholder", "combined", "vhost", "json")
	}
	if strings.ContainsFunc(text, func(c rune) bool { return unicode.IsControl(c) && c != '\t' }) {
		return "", &refusal{"holds a control character", "each request has one line"}
	}
	return text, nil
}

// accessLogs checks that sites that share a file say the same of it.
func (k *checker) accessLogs() {
	first := map[string]int{}
	for i := range k.c.Sites {
		path, s := element("site", i), &k.c.Sites[i]
		if s.AccessLog == "" {
			k.unused(path, "[[site]]", "there is no access_log", "log_format", "access_log_max_size", "access_log_keep")
			continue
		}
		if s.AccessLog == "-" {
			k.unused(path, "[[site]]", "the standard output is not renamed", "access_log_max_size", "access_log_keep")
		}
		j, shared := first[s.AccessLog]
		if !shared {
			first[s.AccessLog] = i
			continue
		}
		for key, differs := range map[string]bool{
			"access_log_max_size": s.AccessLogMaxSize != k.c.Sites[j].AccessLogMaxSize, "access_log_keep": s.AccessLogKeep != k.c.Sites[j].AccessLogKeep,
		} {
			if at := join(path, key); differs && !k.bad[at] && !k.bad[join(element("site", j), key)] {
				k.fail(at, fmt.Sprintf("%s in [[site]] is another than that of a site before, which has the same access_log", key), "say the same for both, or give each a file of its own")
			}
		}
	}
}
