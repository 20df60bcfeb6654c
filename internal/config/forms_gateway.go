package config

// Forms of what talks to other servers: protocols, and addresses that are not
// a site's.

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Protocols are what an app's addresses may speak, and back ends too: see
// BackendProtocols.
func Protocols() []string { return []string{"fastcgi", "scgi", "uwsgi", "ajp", "http"} }

var (
	formProtocol   = form{takes: `"fastcgi", "scgi", "uwsgi", "ajp" or "http"`, check: checkProtocol}
	formAppAddress = form{takes: `an address: "host:port", ":port", "unix:/path", "systemd:NAME" or "fd:N"`, check: checkAppAddress}
	formMode       = form{takes: `an octal mode, like "0660"`, check: checkMode}
	formSecret     = form{takes: "a string", empty: true, check: checkSecret}
	formAttributes = form{takes: "names of request attributes", check: checkAttribute}
	formAllow      = form{takes: `addresses and networks: "192.0.2.1", "192.0.2.0/24", "2001:db8::/32"`, check: checkAllow}
	formParams     = form{takes: `a table of strings: { NAME = "value" }`, empty: true, name: checkParam}
)

func checkProtocol(_, text string) (string, *refusal) {
	if text == "https" || text == "h2c" {
		return "", &refusal{"is not available in this version", `write "http"`}
	}
	return checkAmong(text, Protocols())
}

func checkAmong(text string, all []string) (string, *refusal) {
	switch {
	case slices.Contains(all, text):
		return text, nil
	case text == "fcgi":
		return "", &refusal{"is not a protocol", `write "fastcgi"`}
	}
	if near := nearest(text, all); near != "" {
		return "", &refusal{"is not a protocol", fmt.Sprintf("did you mean %q? The protocols are %s", near, strings.Join(all, ", "))}
	}
	return "", refuse("is not a protocol")
}

// maxDescriptor is what a process can be started with, within reason.
const maxDescriptor = 65535

func checkAppAddress(dir, text string) (string, *refusal) {
	number, ok := strings.CutPrefix(text, "fd:")
	if !ok {
		return checkAddress(dir, text)
	}
	n, err := strconv.ParseUint(number, 10, 31)
	if err != nil || n > maxDescriptor || strconv.FormatUint(n, 10) != number {
		return "", &refusal{"is not the number of a descriptor", `write "fd:0" for the standard input, or the number of another`}
	}
	return text, nil
}

// checkMode keeps four digits, as ls and chmod show them.
func checkMode(_, text string) (string, *refusal) {
	n, err := strconv.ParseUint(text, 8, 32)
	switch {
	case err != nil || len(text) < 3:
		return "", refuse("is not an octal mode")
	case n > 0o777:
		return "", &refusal{"has bits that no socket has", `it takes read and write for owner, group and others, like "0660"`}
	case n&0o600 != 0o600:
		return "", &refusal{"keeps its owner out", `it takes read and write for the owner at least: "0600"`}
	}
	return fmt.Sprintf("%04o", n), nil
}

// maxSecret is what fits an AJP attribute with room to spare.
const maxSecret = 255

func checkSecret(_, text string) (string, *refusal) {
	switch {
	case len(text) > maxSecret:
		return "", &refusal{fmt.Sprintf("is longer than %d bytes", maxSecret), "take a shorter one"}
	case hasControl(text):
		return "", &refusal{"holds a control character", "take one of printable characters"}
	}
	return text, nil
}

func checkAttribute(_, text string) (string, *refusal) {
	switch {
	case text == "" || hasControl(text):
		return "", refuse("is not the name of an attribute")
	case strings.HasPrefix(text, "HTTP_") || strings.HasPrefix(text, "javax."):
		return "", &refusal{"is an attribute that could pass for something else", "give it another name"}
	}
	return text, nil
}

func hasControl(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// checkAllow keeps a network, of one address where no length is given.
func checkAllow(_, text string) (string, *refusal) {
	if ip, err := netip.ParseAddr(text); err == nil {
		if ip.Zone() != "" {
			return "", &refusal{"has a zone", "leave out what follows the %"}
		}
		return ip.Unmap().String(), nil
	}
	p, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		return "", &refusal{"is not an address or a network", ""}
	case p.Addr().Is4In6():
		return "", &refusal{"is an IPv4 network in the clothes of IPv6", fmt.Sprintf("write the IPv4 network, like \"%s/24\"", p.Addr().Unmap())}
	case p.Masked() != p:
		return "", &refusal{"has bits beyond its length", fmt.Sprintf("write %q for the network, or %q for the one address", p.Masked(), p.Addr())}
	}
	return p.String(), nil
}

// checkServer takes the address of a back end, which may appear and go while
// we run: nothing is looked up.
func checkServer(dir, text string) (string, *refusal) {
	if path, ok := strings.CutPrefix(text, "unix:"); ok {
		if path == "" {
			return "", refuse("no path follows unix:")
		}
		if path = absolute(dir, path); len(path) > maxSocketPath {
			return "", &refusal{
				fmt.Sprintf("the path of a Unix socket has at most %d bytes, this one has %d", maxSocketPath, len(path)),
				"use a folder nearer to /, like /run",
			}
		}
		return "unix:" + path, nil
	}
	if filepath.IsAbs(text) {
		return "", &refusal{"is a path", fmt.Sprintf("write %q", "unix:"+short(text))}
	}
	if _, err := strconv.Atoi(text); err == nil {
		return "", &refusal{"is a port alone", fmt.Sprintf("write %q for this machine", "127.0.0.1:"+text)}
	}
	kept, bad := checkAddress(dir, text)
	switch {
	case bad != nil:
		return "", bad
	case strings.HasPrefix(kept, ":"):
		return "", &refusal{"has no host", fmt.Sprintf("write %q for this machine", "127.0.0.1"+short(kept))}
	case strings.HasSuffix(kept, ":0"):
		return "", &refusal{"port 0 is nobody's", "write the port that the back end listens on"}
	}
	return kept, nil
}

// checkParam takes the name of a CGI meta-variable, or of one that an app has made
// up: some are not of capitals. The length is the body's, and every protocol relies
// on it.
func checkParam(text string) (string, *refusal) {
	switch {
	case text == "CONTENT_LENGTH":
		return "", &refusal{"is the length of the body, which millrace knows", "leave it out"}
	case text == "" || strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") != "":
		return "", &refusal{"is not the name of a parameter", "a name is of letters, digits and _, like SCRIPT_FILENAME"}
	}
	return text, nil
}
