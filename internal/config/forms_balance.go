package config

// Forms of what balances back ends.

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// Bounds of what balancing takes.
const (
	maxWeight  = 1000
	maxFails   = 1000
	maxRetries = 100
	minSecret  = 16
)

var (
	formServer       = form{takes: `an address: "host:port" or "unix:/path"`, check: checkServer}
	formBalance      = form{takes: `"least-busy", "round-robin", "hash" or "random-two"`, check: checkBalance}
	formHash         = form{takes: `a text with placeholders, like "{path}"`, texts: true}
	formWeight       = form{takes: fmt.Sprintf("a whole number, 1 to %d", maxWeight), number: atMostNumber(maxWeight)}
	formFails        = form{takes: fmt.Sprintf("a whole number, 0 to %d", maxFails), zero: true, number: atMostNumber(maxFails)}
	formRetries      = form{takes: fmt.Sprintf("a whole number, 0 to %d", maxRetries), zero: true, number: atMostNumber(maxRetries)}
	formRetryOn      = form{takes: `a list of "connect", "error", "timeout", "502", "503" and "504"`, check: checkRetryOn}
	formCookie       = form{takes: `the name of a cookie, like "server"`, check: checkCookie}
	formStickySecret = form{takes: fmt.Sprintf("a string of at least %d characters", minSecret), hidden: true, check: checkStickySecret}
	formCookiePath   = form{takes: `a path that begins with "/"`, check: checkCookiePath}
	formHealthPath   = form{takes: `a path that begins with "/", like "/health"`, check: checkHealthPath}
	formHealthHost   = form{takes: `the name of a host, like "www.example.com", and maybe a port`, check: checkHealthHost}
	formHealthStatus = form{takes: `statuses, like "200", or "2xx" for all of a kind`, some: true, check: checkHealthStatus}
)

func atMostNumber(most int) func(int) *refusal {
	return func(n int) *refusal {
		if n > most {
			return refuse(fmt.Sprintf("is more than %d", most))
		}
		return nil
	}
}

func checkBalance(_, text string) (string, *refusal) {
	switch text {
	case "least_conn", "leastconn", "least-conn", "fair", "least_busy":
		return "", &refusal{"is not a policy", `write "least-busy"`}
	case "roundrobin", "round_robin", "weighted":
		return "", &refusal{"is not a policy", `write "round-robin"; it goes by the weights`}
	case "ip_hash", "ip-hash", "source":
		return "", &refusal{"is not a policy", `write balance = "hash" and hash = "{client}"`}
	case "uri", "path":
		return "", &refusal{"is not a policy", `write balance = "hash" and hash = "{path}"`}
	case "sticky", "cookie":
		return "", &refusal{"is not a policy", `write sticky = { cookie = "NAME" }, beside any policy`}
	}
	return oneOf(text, "is not a policy", "least-busy", "round-robin", "hash", "random-two")
}

func checkRetryOn(_, text string) (string, *refusal) {
	return oneOf(text, "is not among them", "connect", "error", "timeout", "502", "503", "504")
}

// checkCookie takes a token (RFC 6265, section 4.1.1).
func checkCookie(_, text string) (string, *refusal) {
	if strings.ContainsFunc(text, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune("()<>@,;:\\\"/[]?={}", r)
	}) {
		return "", refuse("is not the name of a cookie")
	}
	return text, nil
}

func checkStickySecret(_, text string) (string, *refusal) {
	if len(text) < minSecret {
		return "", &refusal{fmt.Sprintf("is shorter than %d characters", minSecret), "take a longer one, best by chance: `openssl rand -hex 32`"}
	}
	return text, nil
}

func checkCookiePath(_, text string) (string, *refusal) {
	switch {
	case text[0] != '/':
		return "", &refusal{`does not begin with "/"`, fmt.Sprintf("write %q", "/"+short(text))}
	case strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == ';' }):
		return "", refuse("holds what the path of a cookie may not")
	}
	return text, nil
}

func checkHealthPath(_, text string) (string, *refusal) {
	u, err := url.ParseRequestURI(text)
	switch {
	case text[0] != '/':
		return "", &refusal{`does not begin with "/"`, fmt.Sprintf("write %q", "/"+short(strings.TrimPrefix(text, "http://")))}
	case err != nil, u.Host != "", strings.Contains(text, "#"), strings.ContainsAny(text, " \t"):
		return "", refuse("is not a path as clients send it")
	}
	return text, nil
}

func checkHealthHost(_, text string) (string, *refusal) {
	name, port, found := strings.Cut(text, ":")
	if _, err := strconv.ParseUint(port, 10, 16); found && err != nil || !isHostName(name) {
		return "", refuse("is not the name of a host")
	}
	return text, nil
}

func checkHealthStatus(_, text string) (string, *refusal) {
	if kind, ok := strings.CutSuffix(text, "xx"); ok && len(kind) == 1 && kind >= "1" && kind <= "5" {
		return text, nil
	}
	if n, err := strconv.Atoi(text); err != nil || len(text) != 3 || n < 100 || n > 599 {
		return "", refuse("is not a status")
	}
	return text, nil
}
