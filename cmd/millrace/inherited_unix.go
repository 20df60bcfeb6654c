//go:build unix

package main

// This file: what a web server started us for, told by descriptor 0.

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// inherited is what descriptor 0 stands for.
type inherited int

const (
	inheritedNothing inherited = iota
	inheritedSocket            // a listening socket, over TCP or not
	inheritedTCP
	inheritedCGI // one request, in the environment
)

// inheritance looks at descriptor 0, as the FastCGI specification (section
// 2.2) has it: a listening socket is FastCGI's. Anything else is a CGI request
// if the environment says so; that it is a connection proves nothing, since
// Apache's mod_cgid gives its programs one.
func inheritance(getenv func(string) string) (inherited, error) {
	cgi := getenv("GATEWAY_INTERFACE") != "" && getenv("REQUEST_METHOD") != ""
	forced := strings.HasPrefix(getenv("FCGI_FORCE_CGI"), "Y")
	listening, err := unix.GetsockoptInt(0, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	switch {
	case forced && cgi:
		return inheritedCGI, nil
	case forced:
		return inheritedNothing, nothing("FCGI_FORCE_CGI=Y, but no GATEWAY_INTERFACE and REQUEST_METHOD of a CGI request in the environment")
	case err == nil && listening != 0:
		if isTCP() {
			return inheritedTCP, nil
		}
		return inheritedSocket, nil
	case cgi:
		return inheritedCGI, nil
	case err != nil && !errors.Is(err, unix.ENOTSOCK) && !errors.Is(err, unix.EBADF):
		return inheritedNothing, nothing("descriptor 0: " + err.Error())
	case err == nil:
		return inheritedNothing, nothing("descriptor 0 is a socket that does not listen, and no GATEWAY_INTERFACE of a CGI request is in the environment")
	}
	return inheritedNothing, nothing("descriptor 0 is no listening socket, and no GATEWAY_INTERFACE of a CGI request is in the environment")
}

func nothing(why string) error {
	return &usageError{
		fmt.Sprintf("there is no address, and no web server started this: %s", why),
		"add socket=FILE, or host=HOST and port=PORT; millrace runfcgi help lists the options",
	}
}

func isTCP() bool {
	name, err := unix.Getsockname(0)
	if err != nil {
		return false
	}
	_, local := name.(*unix.SockaddrUnix)
	return !local
}

// webServers are the addresses of FCGI_WEB_SERVER_ADDRS (section 3.2), which
// alone may connect over TCP; nil: it is not set.
func webServers(text string) []string {
	var all []string
	for _, address := range strings.Split(text, ",") {
		if address = strings.TrimSpace(address); address != "" {
			all = append(all, address)
		}
	}
	return all
}

// setUmask is for a whole process.
func setUmask(mask int) { unix.Umask(mask) }

// redirect makes files the stdout and stderr of this process: what the Go
// runtime writes when it fails goes there too.
type redirect struct{ out, err string }

// open opens the files, for the first time or anew.
func (r redirect) open() error {
	for _, to := range []struct {
		path, option string
		fd           int
	}{{r.out, "outlog", 1}, {r.err, "errlog", 2}} {
		if to.path == "" {
			continue
		}
		f, err := os.OpenFile(to.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o666)
		if err == nil {
			err = unix.Dup2(int(f.Fd()), to.fd)
			f.Close()
		}
		if err != nil {
			return &failure{fmt.Sprintf("cannot open %s=%s: %v", to.option, to.path, cause(err)), "check the folder and its rights"}
		}
	}
	return nil
}
