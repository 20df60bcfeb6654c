//go:build unix

package daemontools

import (
	"io"
	"time"

	"golang.org/x/sys/unix"
)

// svstat prints a line for each service; with --json, beyond the original, an
// object.
func svstat(args []string, _ io.Reader, stdout, stderr io.Writer) int {
	dirs, asJSON := args[1:], false
	if len(dirs) > 0 && dirs[0] == "--json" {
		dirs, asJSON = dirs[1:], true
	}
	return eachFolder(dirs, stderr, "svstat", func(dir string, chdir error) {
		seen := look(chdir)
		if asJSON {
			seen.details = lookDetails()
			_, _ = stdout.Write(seen.json(dir, time.Now()))
			return
		}
		text := seen.problem
		if text == "" {
			text = seen.status.line(seen.normallyUp, time.Now())
		}
		_, _ = io.WriteString(stdout, dir+": "+text+"\n")
	})
}

// sight is what can be seen of the service in the working folder.
type sight struct {
	problem    string // "": the rest is known
	normallyUp bool   // no file "down"
	status     Status
	details    details // for JSON; they go with the status if their stamp does
}

// look looks at the working folder, which could not be entered if chdir says so.
func look(chdir error) sight {
	if chdir != nil {
		return sight{problem: "unable to chdir: " + words(chdir)}
	}
	var s sight
	var st unix.Stat_t
	if err := unix.Stat("down", &st); err == unix.ENOENT {
		s.normallyUp = true
	} else if err != nil {
		return sight{problem: "unable to stat down: " + words(err)}
	}
	if err := supervised(); err == unix.ENXIO {
		return sight{problem: "supervise not running"}
	} else if err != nil {
		return sight{problem: "unable to open supervise/ok: " + words(err)}
	}
	fd, err := unix.Open("supervise/status", unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return sight{problem: "unable to open supervise/status: " + words(err)}
	}
	defer unix.Close(fd)
	var b [statusSize]byte
	n, err := unix.Read(fd, b[:])
	if err == nil {
		s.status, err = DecodeStatus(b[:n])
	}
	if err != nil {
		return sight{problem: "unable to read supervise/status: " + words(err)}
	}
	return s
}
