// Package systemd is what a service and the systemd that started it tell each
// other: sockets that it opened for the service (sd_listen_fds(3)), how the
// service is (sd_notify(3)), and that it is alive (sd_watchdog_enabled(3)).
//
// Take reads it all from the environment, and removes it there: the programs
// that the service starts are not meant. The zero Service is that of a process
// that systemd did not start; it has no sockets and tells nobody anything.
//
// The package imports no library of systemd's: what it does is a few variables
// and datagrams, which systemd has promised to keep.
package systemd

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
)

// first is the descriptor of the first socket (SD_LISTEN_FDS_START).
const first = 3

// maxSockets bounds what LISTEN_FDS may say.
const maxSockets = 1024

// Service is what systemd told this process. Its methods may be called from
// any goroutine.
type Service struct {
	names    []string // of the sockets, the first is descriptor 3; "": it has none
	notify   string   // address of the socket that is told; "": none
	watchdog time.Duration

	mu   sync.Mutex
	conn *net.UnixConn
}

// variables are all that systemd may have set for this process alone.
var variables = []string{
	"LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDS", "LISTEN_FDNAMES", "NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC",
}

// Take reads and removes the variables. To be called once, before any process
// is started. What is meant for another process, by its id, is removed alike.
func Take() *Service {
	vars := map[string]string{}
	for _, name := range variables {
		vars[name] = os.Getenv(name)
		_ = os.Unsetenv(name) // fails for names that are none
	}
	return taken(vars, os.Getpid())
}

// taken is Take for a process of that id.
func taken(vars map[string]string, pid int) *Service {
	s := &Service{notify: vars["NOTIFY_SOCKET"]}
	self := strconv.Itoa(pid)
	if n, err := strconv.Atoi(vars["LISTEN_FDS"]); err == nil && n > 0 && n <= maxSockets && vars["LISTEN_PID"] == self {
		s.names = make([]string, n)
		if text := vars["LISTEN_FDNAMES"]; text != "" {
			copy(s.names, strings.Split(text, ":"))
		}
	}
	if us, err := strconv.ParseInt(vars["WATCHDOG_USEC"], 10, 64); err == nil && us > 0 && us < int64(365*24*time.Hour/time.Microsecond) &&
		s.notify != "" && (vars["WATCHDOG_PID"] == "" || vars["WATCHDOG_PID"] == self) {
		s.watchdog = time.Duration(us) * time.Microsecond
	}
	return s
}

// Socket returns the descriptor of a socket by its name (FileDescriptorName=
// of the socket unit) or, if none has that name, by the number of the
// descriptor, from 3 on, or by the address that it is bound to. The descriptor
// stays the Service's.
func (s *Service) Socket(name string) (fd int, err error) {
	var found []string
	for i, n := range s.names {
		if n == name {
			fd = first + i
			found = append(found, "systemd:"+strconv.Itoa(fd))
		}
	}
	if len(found) > 1 {
		return 0, fmt.Errorf("systemd passed %d sockets of that name: write %s", len(found), strings.Join(found, " or "))
	}
	if len(found) == 1 {
		return fd, nil
	}
	if n, err := strconv.Atoi(name); err == nil && n >= first && n < first+len(s.names) {
		return n, nil
	}
	if fd, ok := s.address(name); ok {
		return fd, nil
	}
	if len(s.names) == 0 {
		return 0, errors.New("systemd passed no sockets")
	}
	return 0, fmt.Errorf("systemd passed no socket of that name, but %s", strings.Join(s.Sockets(), ", "))
}

// Sockets are the addresses of all that were passed: "systemd:NAME", or of one
// without a name of its own "systemd:3".
func (s *Service) Sockets() []string {
	all := make([]string, len(s.names))
	for i, name := range s.names {
		of := 0
		for _, n := range s.names {
			if n == name {
				of++
			}
		}
		if of > 1 || name == "" {
			name = strconv.Itoa(first + i)
		}
		all[i] = "systemd:" + name
	}
	return all
}

// Unused are those of Sockets that none of some addresses means.
func (s *Service) Unused(addresses []string) []string {
	used := map[int]bool{}
	for _, address := range addresses {
		if fd, err := s.Socket(strings.TrimPrefix(address, "systemd:")); err == nil {
			used[fd] = true
		}
	}
	var unused []string
	for i, socket := range s.Sockets() {
		if !used[first+i] {
			unused = append(unused, socket)
		}
	}
	return unused
}

// Descriptors are those of all that were passed.
func (s *Service) Descriptors() []int {
	all := make([]int, len(s.names))
	for i := range all {
		all[i] = first + i
	}
	return all
}

// Environ is what tells a program that takes this process's place (and id, by
// an exec) the same as this one was told.
func (s *Service) Environ() []string {
	var env []string
	self := strconv.Itoa(os.Getpid())
	if len(s.names) > 0 {
		env = append(env, "LISTEN_PID="+self, "LISTEN_FDS="+strconv.Itoa(len(s.names)))
		if slices.ContainsFunc(s.names, func(n string) bool { return n != "" }) {
			env = append(env, "LISTEN_FDNAMES="+strings.Join(s.names, ":"))
		}
	}
	if s.notify != "" {
		env = append(env, "NOTIFY_SOCKET="+s.notify)
	}
	if s.watchdog > 0 {
		env = append(env, "WATCHDOG_PID="+self, "WATCHDOG_USEC="+strconv.FormatInt(s.watchdog.Microseconds(), 10))
	}
	return env
}

// Watchdog is the time within which systemd wants to be told again that the
// service is Alive; 0: it does not ask.
func (s *Service) Watchdog() time.Duration { return s.watchdog }

// What Notify can tell.
const (
	Ready     = "ready"     // the service serves: for the first time, or again after Reloading
	Reloading = "reloading" // it loads its configuration anew, and serves meanwhile
	Stopping  = "stopping"  // it ends
	Alive     = "alive"     // for the watchdog
	Status    = "status"    // nothing but the line of status
)

// Notify tells systemd how the service is. status is a line for people, in
// `systemctl status`; "": it stays what it was. Where nobody is to be told it
// does nothing.
func (s *Service) Notify(what, status string) error {
	if s.notify == "" {
		return nil
	}
	var b strings.Builder
	switch what {
	case Ready:
		b.WriteString("READY=1\n")
	case Reloading:
		fmt.Fprintf(&b, "RELOADING=1\nMONOTONIC_USEC=%d\n", monotonic().Microseconds())
	case Stopping:
		b.WriteString("STOPPING=1\n")
	case Alive:
		b.WriteString("WATCHDOG=1\n")
	case Status:
	default:
		return fmt.Errorf("systemd: %.20q is nothing that it is told", what)
	}
	if status != "" {
		b.WriteString("STATUS=" + line(status) + "\n")
	}
	return s.send([]byte(b.String()))
}

// maxStatus is what fits a line of a terminal several times.
const maxStatus = 500

// line keeps a status from saying more than a status.
func line(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	if len(text) > maxStatus {
		text = strings.ToValidUTF8(text[:maxStatus], "") + "…"
	}
	return text
}

// sendTime bounds a message: a systemd that does not read must not hold us.
const sendTime = 5 * time.Second

// send sends one datagram. A socket that fails is opened anew once: systemd
// makes another when it executes itself anew.
func (s *Service) send(message []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	for range 2 {
		if s.conn == nil {
			// A name that begins with "@" is an abstract one for package net as well.
			if s.conn, err = net.DialUnix("unixgram", nil, &net.UnixAddr{Name: s.notify, Net: "unixgram"}); err != nil {
				s.conn = nil
				break
			}
		}
		if err = s.conn.SetWriteDeadline(time.Now().Add(sendTime)); err == nil {
			_, err = s.conn.Write(message)
		}
		if err == nil {
			return nil
		}
		_ = s.conn.Close() // it has failed
		s.conn = nil
	}
	return fmt.Errorf("cannot tell systemd: %w", err)
}
