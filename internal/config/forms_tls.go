package config

// Forms of [site.tls].

import (
	"net/mail"
	"net/url"
	"os"
	"strings"
)

var (
	formPEM        = form{takes: "the path of a file in PEM, or a list of them", some: true, repeats: true, check: checkPEM}
	formTLSVersion = form{takes: `"1.2" or "1.3"`, check: checkTLSVersion}
	formClientAuth = form{takes: `"require" or "optional"`, check: checkClientAuth}
	formPlain      = form{takes: `addresses: "host:port", ":port", "unix:/path" or "systemd:NAME"`, check: checkAddress}
	formEmail      = form{takes: "an address of mail", empty: true, check: checkEmail}
	formDirectory  = form{takes: "the URL of an ACME directory, with https", check: checkDirectory}
	formStorage    = form{takes: "the path of a folder; the one above it must exist", check: checkStorage}
	formChallenges = form{takes: `"http-01" and "tls-alpn-01", or one of them`, some: true, check: checkChallenge}
)

func checkPEM(dir, text string) (string, *refusal) {
	path := absolute(dir, text)
	info, err := os.Stat(path)
	switch {
	case err != nil && strings.HasPrefix(text, "~"):
		return "", &refusal{"cannot look at " + short(path) + ": " + cause(err), "~ is not expanded; write ${HOME}"}
	case err != nil:
		return "", &refusal{"cannot look at " + short(path) + ": " + cause(err), "correct the path, or the rights of the folders above it"}
	case !info.Mode().IsRegular():
		return "", &refusal{short(path) + " is not a file", ""}
	}
	return path, nil
}

func checkTLSVersion(_, text string) (string, *refusal) {
	switch text {
	case "1.2", "1.3":
		return text, nil
	case "1.0", "1.1":
		return "", &refusal{"is broken (RFC 8996), and not spoken", ""}
	}
	return "", refuse("is not a version of TLS")
}

func checkClientAuth(_, text string) (string, *refusal) {
	return oneOf(text, "is neither", "require", "optional")
}

func checkEmail(_, text string) (string, *refusal) {
	if a, err := mail.ParseAddress(text); err != nil || a.Name != "" || a.Address != text {
		return "", refuse("is not an address of mail")
	}
	return text, nil
}

func checkDirectory(_, text string) (string, *refusal) {
	if u, err := url.Parse(text); err != nil || u.Scheme != "https" || u.Host == "" {
		return "", &refusal{"is not a URL with https", `write something like "https://ca.example.com/directory"`}
	}
	return text, nil
}

func checkStorage(dir, text string) (string, *refusal) {
	path := absolute(dir, text)
	if info, err := os.Stat(path); err == nil {
		if !info.IsDir() {
			return "", &refusal{short(path) + " is not a folder", ""}
		}
		return path, nil
	}
	return path, folder(absolute(path, ".."), text)
}

func checkChallenge(_, text string) (string, *refusal) {
	if text == "dns-01" {
		return "", &refusal{"dns-01 is not built in", "let certbot, lego or acme.sh get the certificate, and name its files with certificate and key; or write \"http-01\" or \"tls-alpn-01\""}
	}
	return oneOf(text, "is not a challenge", "http-01", "tls-alpn-01")
}
