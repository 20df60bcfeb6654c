package config

// Forms of how an app's processes run: as whom, with what, for how long.

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

var (
	formUser    = form{takes: "the name of a user, or its number", empty: true, check: checkUser}
	formGroup   = form{takes: "the name of a group, or its number", empty: true, check: checkGroup}
	formUmask   = form{takes: `an octal mask, like "027"`, empty: true, check: checkUmask}
	formChroot  = form{takes: "the path of a folder that exists", empty: true, check: checkFolder}
	formRlimits = form{takes: `a table of limits: { nofile = "1024", as = "1GiB" }`, empty: true, check: checkRlimit, name: checkRlimitName}
	formEnvFile = form{takes: `the path of a file, or "credential:NAME", or a list of them`, check: checkSecretFile}
	formSecrets = form{takes: `a table of variables and files: { NAME = "/path" } or "credential:NAME"`, check: checkSecretFile, name: checkVariable}
	formCommand = form{takes: `a program and its arguments: ["php-cgi"]`, some: true, repeats: true, check: checkWord}
	formScaling = form{takes: `"dynamic", "static" or "ondemand"`, check: checkScaling}
	formPreload = form{takes: `true, false or "require"`}
	formWarmUp  = form{takes: `a path that begins with "/"`, empty: true, check: checkWarmUp}
	formSignal  = form{takes: `a signal: "TERM", "INT", "QUIT", "HUP", "USR1" or "USR2"`, check: checkSignal}
	formCron    = form{takes: `lines of a crontab: "*/5 * * * * python manage.py clearsessions"`, repeats: true, check: checkCron}
	formStatus  = form{takes: `an address: "host:port", ":port" or "unix:/path"`, empty: true, check: checkAddress}
	formPage    = form{takes: "the path of a file", empty: true, check: checkFile}
)

func checkUser(_, text string) (string, *refusal) {
	if _, err := user.Lookup(text); err == nil {
		return text, nil
	}
	if _, err := strconv.ParseUint(text, 10, 31); err == nil {
		return text, nil // a number needs no name
	}
	return "", &refusal{"there is no such user on this machine", "make it (useradd), or correct the name"}
}

func checkGroup(_, text string) (string, *refusal) {
	if _, err := user.LookupGroup(text); err == nil {
		return text, nil
	}
	if _, err := strconv.ParseUint(text, 10, 31); err == nil {
		return text, nil
	}
	return "", &refusal{"there is no such group on this machine", "make it (groupadd), or correct the name"}
}

// checkUmask keeps four digits.
func checkUmask(_, text string) (string, *refusal) {
	n, err := strconv.ParseUint(text, 8, 32)
	switch {
	case err != nil:
		return "", refuse("is not an octal mask")
	case n > 0o777:
		return "", refuse("has bits that no mask has")
	}
	return fmt.Sprintf("%04o", n), nil
}

// rlimits are those that setrlimit(2) knows on every system.
var rlimits = []string{"as", "core", "cpu", "data", "fsize", "memlock", "nofile", "nproc", "rss", "stack"}

func checkRlimitName(text string) (string, *refusal) {
	if slices.Contains(rlimits, text) {
		return text, nil
	}
	if near := nearest(text, rlimits); near != "" {
		return "", &refusal{"is not a limit", fmt.Sprintf("did you mean %q?", near)}
	}
	return "", &refusal{"is not a limit", "the limits are " + strings.Join(rlimits, ", ")}
}

// checkRlimit keeps a number, or "unlimited".
func checkRlimit(_, text string) (string, *refusal) {
	if text == "unlimited" {
		return text, nil
	}
	if n, err := strconv.ParseUint(text, 10, 63); err == nil {
		return strconv.FormatUint(n, 10), nil
	}
	size, reason := parseSize(text)
	if reason != "" {
		return "", &refusal{"is not a limit", `write a number ("1024"), a size ("1GiB") or "unlimited"`}
	}
	return strconv.FormatInt(int64(size), 10), nil
}

// checkSecretFile takes a file, which is read when the app starts, or the
// name of a credential.
func checkSecretFile(dir, text string) (string, *refusal) {
	if name, ok := strings.CutPrefix(text, "credential:"); ok {
		if name == "" || strings.ContainsAny(name, "/\x00") || name == "." || name == ".." {
			return "", &refusal{"names no credential", `write "credential:NAME", with LoadCredential=NAME:/path in the unit`}
		}
		return text, nil
	}
	if text == "" {
		return "", refuse("is empty")
	}
	path, bad := checkFile(dir, text)
	if bad != nil {
		return "", bad
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return "", &refusal{"there is no file " + short(path), "make it, or correct the path"}
	}
	return path, nil // that it cannot be read may be right: who checks need not be who serves
}

// checkWord takes an argument.
func checkWord(_, text string) (string, *refusal) { return text, nil }

func checkScaling(_, text string) (string, *refusal) {
	return oneOf(text, "is not a scaling", "dynamic", "static", "ondemand")
}

func checkWarmUp(_, text string) (string, *refusal) {
	if text[0] != '/' {
		return "", &refusal{`does not begin with "/"`, fmt.Sprintf("write %q", "/"+short(text))}
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > unicode.MaxASCII || r == 0x7f }) {
		return "", &refusal{"holds what no URL holds", "write it as in an address, with %20 for a blank"}
	}
	return text, nil
}

func checkSignal(_, text string) (string, *refusal) {
	return oneOf(strings.TrimPrefix(text, "SIG"), "is not a signal that a program is asked to end by", "TERM", "INT", "QUIT", "HUP", "USR1", "USR2")
}

// programPath makes the program of a command absolute if it is a path.
func programPath(dir, program string) string {
	if strings.ContainsRune(program, filepath.Separator) {
		return absolute(dir, program)
	}
	return program
}
