// Package install makes millrace a service of the system: the files that a
// supervisor starts it by, and the commands that have it do so.
//
// A Spec says what is to be served, a Kind for which supervisor, and Make turns
// both into an Installation, without looking at the system: files, links and
// commands. Print shows one. Install puts it there, and writes a manifest of what
// it put; Uninstall takes back what the manifest names and is still as it was.
//
// The kinds are systemd.go, rcd.go (FreeBSD), launchd.go (macOS) and run.go (a
// folder with a program run, as runit, daemontools and millrace svscan have it).
package install

import (
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// Kind is a supervisor.
type Kind string

// The kinds.
const (
	Systemd Kind = "systemd"
	RC      Kind = "rc"
	Launchd Kind = "launchd"
	Run     Kind = "run"
)

// Kinds are all of them.
func Kinds() []Kind { return []Kind{Systemd, RC, Launchd, Run} }

// DefaultKind is that of a system.
func DefaultKind(system string, systemdRuns bool) Kind {
	switch {
	case system == "darwin":
		return Launchd
	case system == "freebsd":
		return RC
	case system == "linux" && systemdRuns:
		return Systemd
	}
	return Run
}

// Spec is what is to be a service. Paths are absolute.
type Spec struct {
	Name   string // of the service: letters, digits, "-", "_", "."
	Binary string // of millrace
	Target string // what it serves: a configuration or a folder
	Folder string // that it is started in
	User   string // who runs it; empty: root
	Group  string // empty: the user's own

	Control string // socket of the configuration; empty: it names none, and the service gives one

	Listen  []string // addresses; TCP ones are opened by systemd
	Low     bool     // a port is below 1024
	Write   []string // folders that it writes in
	Switch  bool     // started as root, it starts others as other users
	StopFor time.Duration

	Service string // of Run: the folder that is made; empty: /etc/sv/NAME
	Scan    string // of Run: the folder that is linked into; empty: none

	kind Kind // that it is made for
}

var goodName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$`)

// Check says what cannot be written into the file of a supervisor.
func (s *Spec) Check() error {
	if !goodName.MatchString(s.Name) {
		return &Error{fmt.Sprintf("%q cannot be the name of a service", s.Name), "--name NAME: letters, digits, - _ and ."}
	}
	for _, path := range append([]string{s.Binary, s.Target, s.Folder, s.User, s.Group, s.Control, s.Service, s.Scan}, s.Write...) {
		for _, r := range path {
			if r < ' ' || r == 0x7f || r == '"' || r == '\'' || r == '\\' || r == '$' || r == '`' || r == '<' || r == '>' || r == '&' {
				return &Error{fmt.Sprintf("%q cannot be written into a service's file: it has %q in it", path, r), "rename it, or make a link to it by another name"}
			}
		}
	}
	for _, path := range []string{s.Binary, s.Target, s.Folder} {
		if !filepath.IsAbs(path) {
			return &Error{fmt.Sprintf("%q is no absolute path", path), ""}
		}
	}
	return nil
}

// Error is a problem and what to do.
type Error struct{ Problem, Do string }

func (e *Error) Error() string { return e.Problem }

// Hint says what to do.
func (e *Error) Hint() string { return e.Do }

// File is one that is put in place.
type File struct {
	Path    string
	Mode    fs.FileMode
	Content string
	Link    string // it is a symbolic link to that
}

// Command is one that is run.
type Command struct {
	Args     []string
	Optional bool // it may fail: there may be nothing to stop
}

// Installation is a service as files and commands.
type Installation struct {
	Kind    Kind
	Name    string
	Files   []File
	Enable  []Command // after the files are there
	Disable []Command // before they are removed
	After   []Command // after that
	Says    []string  // what to tell who installs it
}

// Make makes the installation of a kind.
func Make(kind Kind, s *Spec) (*Installation, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	of := *s
	s, of.kind = &of, kind
	switch kind {
	case Systemd:
		return s.systemd(), nil
	case RC:
		return s.rc(), nil
	case Launchd:
		return s.launchd(), nil
	case Run:
		return s.run(), nil
	}
	return nil, &Error{fmt.Sprintf("%q is no kind of service", kind), "--kind systemd, rc, launchd or run"}
}

// Print shows an installation, which changes nothing.
func (i *Installation) Print(w io.Writer) error {
	var b strings.Builder
	for _, f := range i.Files {
		if f.Link != "" {
			fmt.Fprintf(&b, "# %s -> %s\n\n", f.Path, f.Link)
			continue
		}
		fmt.Fprintf(&b, "# %s (%04o)\n%s\n", f.Path, f.Mode, f.Content)
	}
	for _, c := range i.Enable {
		fmt.Fprintf(&b, "# then: %s\n", strings.Join(c.Args, " "))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// words is a command line for sh, and but for percent signs for systemd: Check
// has seen to it that no word has a quote in it.
func words(args ...string) string {
	for i, a := range args {
		if strings.ContainsAny(a, " \t;|()*?[]#~!{}%=") {
			args[i] = `"` + a + `"`
		}
	}
	return strings.Join(args, " ")
}

// serve is the command line of the server, and talk that of a command to it.
func (s *Spec) serve() []string {
	args := []string{s.Binary, "serve", s.Target}
	if s.Control == "" {
		args = append(args, "--control", s.control())
	}
	return args
}

func (s *Spec) talk(command string) []string {
	return []string{s.Binary, command, "--control", s.control()}
}

// control is the socket: a service has it where everybody who may finds it.
func (s *Spec) control() string {
	if s.Control != "" {
		return s.Control
	}
	return s.runtime() + "/control.sock"
}

// runtime is the folder of the service for what does not outlive it.
func (s *Spec) runtime() string {
	if s.kind == Systemd { // as RuntimeDirectory= has it
		return "/run/" + s.Name
	}
	return "/var/run/" + s.Name
}

// account is the user and the group, as chown writes them.
func (s *Spec) account() string {
	user := s.User
	if user == "" {
		user = "root"
	}
	return user + ":" + s.Group
}
