//go:build unix

package daemontools

import (
	"io"
	"os"
	"path/filepath"
	"slices"
)

// Program is one program of the family.
type Program struct {
	Name    string
	Usage   string // its arguments
	Summary string // what it does, in a line

	// Run runs it and returns its exit status. args begin with its name. What
	// runs another program becomes that, and returns only where it cannot.
	Run func(args []string, stdin io.Reader, stdout, stderr io.Writer) int
}

// Programs are all of them.
func Programs() []Program { return slices.Concat(supervision(), logging()) }

// Exit statuses of the family.
const (
	exitUsage = 100 // a mistake of who called it
	exitFault = 111 // the system said no
)

// supervision are those that keep services and control them.
func supervision() []Program {
	return []Program{
		{"svscan", "[--separate] [--grace=8s] [DIR]", "Keep all services in a folder running", svscan},
		{"svscanboot", "[DIR]", "Start svscan with nothing of this environment, what it says among the processes", svscanboot},
		{"supervise", "DIR", "Keep one service running", superviseProgram},
		{"svc", "[-udopchaitkx] DIR...", "Control services: up, down, once, pause, signals", svc},
		{"svok", "DIR", "Say by the exit status whether a service is supervised", svok},
		{"svstat", "[--json] DIR...", "Say how services are", svstat},
		{"readproctitle", "WORDS... DOTS", "Show the last of what is read in the list of processes", readproctitle},
		{"fghack", "PROGRAM...", "Keep a program in the foreground that goes into the background", fghack},
		{"pgrphack", "PROGRAM...", "Run a program in a process group of its own", pgrphack},
		{"setlock", "[-nNxX] FILE PROGRAM...", "Run a program with a file locked", setlock},
	}
}

// Find returns the program of a name.
func Find(name string) (Program, bool) {
	all := Programs()
	i := slices.IndexFunc(all, func(p Program) bool { return p.Name == name })
	if i < 0 {
		return Program{}, false
	}
	return all[i], true
}

// Main runs the program that args ask for, by the name of the binary or by its
// first argument, and exits. It returns if they ask for none. It is to be
// called first of all in main: these programs pass on whatever descriptors
// they were given, and others of this binary do not.
func Main(args []string) {
	if len(args) == 0 {
		return
	}
	if args[0] == runName {
		os.Exit(runScript(args, os.Stdin, os.Stdout, os.Stderr))
	}
	for i := range min(len(args), 2) {
		if p, ok := Find(filepath.Base(args[i])); ok && (i == 0 || args[i] == p.Name) {
			os.Exit(p.Run(args[i:], os.Stdin, os.Stdout, os.Stderr))
		}
	}
}
