//go:build unix

package daemontools

// This file: the words of the originals, for errors of the system and for what
// they say on stderr. They are what scripts look for, and are not those of the
// C library or of Go.

import (
	"errors"
	"io"
	"strings"

	"golang.org/x/sys/unix"
)

// words names errors as the originals do.
func words(err error) string {
	var number unix.Errno
	if !errors.As(err, &number) {
		if err == nil {
			return "no error"
		}
		return err.Error()
	}
	if text, ok := errnoWords()[number]; ok {
		return text
	}
	return "unknown error"
}

// say writes a line that is made of parts.
func say(w io.Writer, parts ...string) {
	_, _ = io.WriteString(w, strings.Join(parts, "")+"\n") // there is nobody else to tell
}

// fault says that the system said no, and returns the exit status for it.
func fault(w io.Writer, err error, parts ...string) int {
	say(w, strings.Join(parts, ""), words(err))
	return exitFault
}

// usage says how a program is called, and returns the exit status for it.
func usage(w io.Writer, text string) int {
	say(w, text)
	return exitUsage
}

func errnoWords() map[unix.Errno]string {
	all := map[unix.Errno]string{
		unix.EINTR: "interrupted system call", unix.ENOMEM: "out of memory", unix.ENOENT: "file does not exist",
		unix.ETXTBSY: "text busy", unix.EIO: "input/output error", unix.EEXIST: "file already exists",
		unix.ETIMEDOUT: "timed out", unix.EINPROGRESS: "operation in progress", unix.EAGAIN: "temporary failure",
		unix.EPIPE: "broken pipe", unix.EPERM: "permission denied", unix.EACCES: "access denied",
		unix.ENXIO: "device not configured", unix.EPROTO: "protocol error", unix.EISDIR: "is a directory",
		unix.ECONNREFUSED: "connection refused", unix.ENOTDIR: "not a directory", unix.ESRCH: "no such process",
		unix.E2BIG: "argument list too long", unix.ENOEXEC: "exec format error", unix.EBADF: "file descriptor not open",
		unix.ECHILD: "no child processes", unix.EDEADLK: "operation would cause deadlock", unix.EFAULT: "bad address",
		unix.ENOTBLK: "not a block device", unix.EBUSY: "device busy", unix.EXDEV: "cross-device link",
		unix.ENODEV: "device does not support operation", unix.EINVAL: "invalid argument",
		unix.ENFILE: "system cannot open more files", unix.EMFILE: "process cannot open more files",
		unix.ENOTTY: "not a tty", unix.EFBIG: "file too big", unix.ENOSPC: "out of disk space",
		unix.ESPIPE: "unseekable descriptor", unix.EROFS: "read-only file system", unix.EMLINK: "too many links",
		unix.EDOM: "input out of range", unix.ERANGE: "output out of range", unix.EALREADY: "operation already in progress",
		unix.ENOTSOCK: "not a socket", unix.EDESTADDRREQ: "destination address required", unix.EMSGSIZE: "message too long",
		unix.EPROTOTYPE: "incorrect protocol type", unix.ENOPROTOOPT: "protocol not available",
		unix.EPROTONOSUPPORT: "protocol not supported", unix.ESOCKTNOSUPPORT: "socket type not supported",
		unix.EOPNOTSUPP: "operation not supported", unix.EPFNOSUPPORT: "protocol family not supported",
		unix.EAFNOSUPPORT: "address family not supported", unix.EADDRINUSE: "address already used",
		unix.EADDRNOTAVAIL: "address not available", unix.ENETDOWN: "network down", unix.ENETUNREACH: "network unreachable",
		unix.ENETRESET: "network reset", unix.ECONNABORTED: "connection aborted", unix.ECONNRESET: "connection reset",
		unix.ENOBUFS: "out of buffer space", unix.EISCONN: "already connected", unix.ENOTCONN: "not connected",
		unix.ESHUTDOWN: "socket shut down", unix.ETOOMANYREFS: "too many references", unix.ELOOP: "symbolic link loop",
		unix.ENAMETOOLONG: "file name too long", unix.EHOSTDOWN: "host down", unix.EHOSTUNREACH: "host unreachable",
		unix.ENOTEMPTY: "directory not empty", unix.EUSERS: "too many users", unix.EDQUOT: "disk quota exceeded",
		unix.ESTALE: "stale NFS file handle", unix.EREMOTE: "too many levels of remote in path",
		unix.ENOLCK: "no locks available", unix.ENOSYS: "system call not available",
		unix.ENOMSG: "no message of desired type", unix.EBADMSG: "bad message type", unix.EIDRM: "identifier removed",
	}
	for number, text := range moreErrnoWords() {
		all[number] = text
	}
	return all
}
