package adapt

// A script whose "#!" line runs `millrace runfcgi`:
//
//	#!/usr/local/bin/millrace runfcgi settings=mysite.settings
//	# where the project is
//	dir = /home/me/my site
//	pythonpath = /home/me/lib
//
// The system gives all that follows the interpreter on the first line as one
// argument, and the script's path as the next (Linux cuts the line at 255
// bytes). Blanks part the options there. Each further line is one option; all
// after its first "=" is the value, less the blanks around it. Relative paths
// are relative to the script's folder, links resolved, as Python does it with
// sys.path[0].

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode"
)

const maxScript = 64 << 10 // bytes

// SplitInterpreter parts the one argument that a "#!" line makes of all that
// follows the interpreter: "runfcgi settings=x dir=y". Other arguments are
// returned as they are.
func SplitInterpreter(args []string) []string {
	const command = "runfcgi"
	if len(args) == 0 || !strings.HasPrefix(args[0], command) {
		return args
	}
	words := strings.Fields(args[0])
	if len(words) == 0 || words[0] != command || args[0] == command {
		return args
	}
	return append(words, args[1:]...)
}

// splitScript finds the script among arguments: the first that is no option
// and a file.
func splitScript(args []string) (before []string, script string, after []string) {
	for i, arg := range args {
		name, _, _ := strings.Cut(arg, "=")
		if strings.HasPrefix(arg, "-") || find(name) != nil || strings.EqualFold(arg, "help") {
			continue
		}
		if i > 0 && takesNext(args[i-1]) {
			continue
		}
		if info, err := os.Stat(arg); err == nil && info.Mode().IsRegular() {
			return args[:i], arg, args[i+1:]
		}
	}
	return args, "", nil
}

// takesNext reports whether an argument is "--key" or "-k", whose value is the
// next argument.
func takesNext(arg string) bool {
	if name, ok := strings.CutPrefix(arg, "--"); ok {
		o := find(name)
		return o != nil && !o.flag
	}
	return len(arg) == 2 && isShort(arg)
}

// script is what a script holds.
type script struct {
	path        string // absolute, links resolved
	dir         string
	interpreter []string // options of the first line
	lines       []scriptLine
}

type scriptLine struct {
	number int
	text   string
}

func readScript(path string) (*script, error) {
	fail := func(line int, problem, fix string) error {
		place := path
		if line > 0 {
			place = fmt.Sprintf("%s:%d", path, line)
		}
		return &ArgumentError{Place: place, Problem: problem, Fix: fix}
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fail(0, "cannot read the script: "+cause(err), "check its rights")
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxScript+1))
	if err != nil {
		return nil, fail(0, "cannot read the script: "+cause(err), "check its rights")
	}
	if len(text) > maxScript || !strings.HasPrefix(string(text), "#!") {
		return nil, fail(0, `is no script of millrace runfcgi: its first line has to begin with "#!"`, "to serve an app write app=module:callable, and dir=FOLDER for its folder")
	}
	s := &script{path: path, dir: filepath.Dir(path)}
	for i, line := range strings.Split(string(text), "\n") {
		line = strings.TrimSpace(line)
		switch {
		case strings.ContainsFunc(line, func(c rune) bool { return unicode.IsControl(c) && c != '\t' }):
			return nil, fail(i+1, "has control characters", "write KEY=VALUE, one a line")
		case i == 0:
			s.interpreter = interpreterOptions(line)
		case line != "" && line[0] != '#':
			s.lines = append(s.lines, scriptLine{i + 1, line})
		}
	}
	return s, nil
}

// interpreterOptions are what follows "runfcgi" on a "#!" line.
func interpreterOptions(line string) []string {
	words := strings.Fields(line)
	for i, w := range words {
		if w == "runfcgi" {
			return words[i+1:]
		}
	}
	return nil
}

// cause drops what package os says twice.
func cause(err error) string {
	var at *fs.PathError
	if errors.As(err, &at) {
		return at.Err.Error()
	}
	return err.Error()
}
