package config

// Pages of errors: what stands in the tables.

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// ErrorPage takes a value of error_pages apart: the status of the answer, 0 for
// that of the error and -1 for that of the page, and what answers: "file:/PATH",
// a path of the site, "@GROUP", or a URL to which the client is sent.
func ErrorPage(text string) (status int, to string, err error) {
	rest, some := strings.CutPrefix(text, "=")
	if !some {
		return 0, text, nil
	}
	code, to, _ := strings.Cut(rest, " ")
	if code == "" {
		return -1, strings.TrimLeft(to, " "), nil
	}
	if status, err = strconv.Atoi(code); err != nil || len(code) != 3 || status < 200 || status > 599 {
		return 0, "", fmt.Errorf("%q is not a status", code)
	}
	return status, strings.TrimLeft(to, " "), nil
}

// checkErrorPage makes the path of a file absolute.
func checkErrorPage(dir, text string) (string, *refusal) {
	status, to, err := ErrorPage(text)
	if err != nil {
		return "", &refusal{"has a status that is none", `write "=200 /page", or "= /page" for the status of the page`}
	}
	before := text[:len(text)-len(to)]
	isURL := strings.HasPrefix(to, "http://") || strings.HasPrefix(to, "https://") || strings.HasPrefix(to, "{scheme}://")
	switch {
	case isURL && status != 0 && checkRedirectStatus(status) != nil:
		return "", &refusal{"sends the client to a URL, with a status that is not one of a redirect", `write "=302 https://…", or no status`}
	case isURL:
		return text, nil
	case strings.HasPrefix(to, "/"):
		kept, bad := checkRewrite(dir, to)
		return before + kept, bad
	case strings.HasPrefix(to, "@"):
		if to == "@" {
			return "", refuse("names no group of routes")
		}
		_, bad := checkRouteGroup(dir, to[1:])
		return text, bad
	}
	file := strings.TrimPrefix(to, "file:")
	switch {
	case file == "":
		return "", refuse("names no file")
	case status < 0:
		return "", &refusal{"wants the status of a file, which has none", `write "=200 ` + short(file) + `"`}
	}
	path, bad := checkFile(dir, file)
	if bad == nil {
		if _, err := os.Stat(path); err != nil {
			bad = &refusal{fmt.Sprintf("cannot look at %s: %s", short(path), cause(err)), `a path of the site begins with "/"`}
		}
	}
	return before + "file:" + path, bad
}

// HasErrorPages reports whether any error of the site has a page.
func (s *Site) HasErrorPages() bool { return len(s.ErrorPages) > 0 || s.RoutesHaveErrorPages() }

// RoutesHaveErrorPages reports whether a route says of pages of errors what the
// site does not.
func (s *Site) RoutesHaveErrorPages() bool {
	for i := range s.Routes {
		if s.Routes[i].ErrorPages != nil || s.Routes[i].ErrorPagesOfApps != nil {
			return true
		}
	}
	return false
}

// errorGroups are the groups that a table of pages leads to.
func errorGroups(table map[string]string) map[string]string {
	groups := map[string]string{}
	for status, page := range table {
		if _, to, err := ErrorPage(page); err == nil && strings.HasPrefix(to, "@") {
			groups[status] = to[1:]
		}
	}
	return groups
}
