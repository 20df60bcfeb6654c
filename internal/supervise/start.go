//go:build unix

package supervise

import (
	"fmt"
	"os"
	"syscall"
)

// Command is a program that may be started, any number of times. It does not
// change once it is made.
type Command struct {
	// Name names the command to people and to a keeper: "app main",
	// "app main attached mail". No two commands of a configuration have the
	// same.
	Name string
	Plan int // the number of the configuration that it is from, where a keeper starts it

	Path  string   // absolute, or looked up on the PATH of Env
	Args  []string // the first is what the program takes for its name
	Env   []string // the whole environment, "NAME=value"
	Dir   string   // working folder
	Stdin []byte   // what it reads from descriptor 0; nil: that is Start.Files[0]

	// Whole says that the process's group ends with it: its own children, if
	// they have not left the group, are killed at its end.
	Whole bool

	// PerRequest says that it is started for each request, with the variables
	// and arguments of that: Start.Env and Start.Args.
	PerRequest bool

	// Folder has the command stand for the programs of a folder, one of which
	// Start.Program names: Path and Args are of that then. nil: it is one.
	Folder *Folder

	Rights Rights

	// Lifeline has the kernel kill the process, with its group, when the one
	// that started it is gone, however it went. The process has one descriptor
	// more than Start.Files, the next. Linux's; elsewhere it does nothing.
	Lifeline bool
}

// Rights are as whom and within what bounds a command runs. The zero value is
// as we do. With any of them, and with a Lifeline, the command is started
// through a launcher: see Launch.
type Rights struct {
	User   *User  // nil: ours
	Umask  *int   // nil: ours
	Chroot string // "": none; Path and Dir of the command are within it
	Limits []Limit
}

// User is who a process runs as.
type User struct {
	UID, GID uint32
	Groups   []uint32 // supplementary
	Name     string   // for USER and LOGNAME
	Home     string   // for HOME
}

// Limit is one resource limit, both soft and hard.
type Limit struct {
	Resource string // as in the configuration: "nofile"
	Value    uint64 // in the unit of setrlimit(2)
}

// Unlimited is the Value of a limit that is none.
const Unlimited = ^uint64(0)

// Start is one start of a command.
type Start struct {
	Command *Command

	// Files are the process's descriptors from 0 on; nil is the null device.
	// They stay the caller's.
	Files []*os.File

	// Replace holds what stands for "{port}" and "{socket}" in the command's
	// Args.
	Replace map[string]string

	// Program is which one of a command with a Folder, below that; Owner is the
	// user in whose home it is, where the Folder is in homes.
	Program, Owner string

	// Env is added to the environment of a command with PerRequest, which goes
	// before where both have a variable; Args to its Args.
	Env, Args []string
}

// Starter starts processes: Local by itself, a keeper's client by another
// process that has the right to.
type Starter interface {
	Start(s Start) (Process, error)
}

// Process is a process that was started, in a group of its own.
type Process interface {
	PID() int

	// Wait returns when the process has ended. It is to be called, once: until
	// then the process's id is not used again.
	Wait() Exit

	// Signal signals the process; Kill is SIGKILL to its whole group. After the
	// process's end they do nothing.
	Signal(sig syscall.Signal) error
	Kill() error
}

// Exit is how a process ended.
type Exit struct {
	Code   int            // its status; meaningless with Signal
	Signal syscall.Signal // that ended it; 0: none
	Err    error          // it is not known how
}

// OK reports whether it ended with status 0.
func (e Exit) OK() bool { return e.Code == 0 && e.Signal == 0 && e.Err == nil }

func (e Exit) String() string {
	switch {
	case e.Err != nil:
		return e.Err.Error()
	case e.Signal != 0:
		return "killed by " + signalName(e.Signal)
	}
	return fmt.Sprintf("exited with status %d", e.Code)
}

// Adopter is a Starter that may also answer for processes that another one had
// it start before.
type Adopter interface {
	// Adopt returns the process pid. It is an error if there is none such.
	Adopt(pid int) (Process, error)
}
