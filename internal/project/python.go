package project

// The interpreter that runs an app: which one, and why that one.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// MinVersion is the oldest Python that runs the worker.
const MinVersion = "3.8"

// Interpreter is a Python that was run and can run an app. It is the first
// that is found of: --python, --venv, $VIRTUAL_ENV, .venv or venv in the
// app's folder, python3 on the path. For an app of a millrace.toml its own
// keys python and venv take the place of --python and --venv.
type Interpreter struct {
	Path           string // absolute; sys.executable, so that wrappers such as pyenv's are passed once
	Version        string // "3.12.1"
	Implementation string // "cpython", "pypy"
	Why            string // where it was found, for people: ".venv beside the app"
}

func (i Interpreter) String() string {
	name := i.Implementation
	switch name {
	case "cpython":
		name = "Python"
	case "pypy":
		name = "PyPy"
	}
	return fmt.Sprintf("%s %s, %s (%s)", name, i.Version, i.Path, i.Why)
}

// versionScript imports sys alone, which no file of the app can shadow, and
// is understood by Python 2, so that it can say that it is one.
const versionScript = `import sys
i = getattr(sys, "implementation", None)
sys.stdout.write("\nmillrace\t%d.%d.%d\t%s\t%s\n" % (tuple(sys.version_info[:3]) + (getattr(i, "name", "python"), sys.executable or "")))`

func findInterpreter(ctx context.Context, o Options, dir string) (Interpreter, error) {
	path, why, err := locate(o, dir)
	if err != nil {
		return Interpreter{}, err
	}
	return tryInterpreter(ctx, o, dir, path, why)
}

// tryInterpreter runs an interpreter that was located.
func tryInterpreter(ctx context.Context, o Options, dir, path, why string) (Interpreter, error) {
	timed, cancel := context.WithTimeout(ctx, o.limit(versionLimit))
	defer cancel()
	cmd := command(timed, path, "-c", versionScript)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), o.Env...)
	if err := runAs(cmd, o.User, o.Group); err != nil {
		return Interpreter{}, &Error{Problem: "cannot run the interpreter " + path + " as user " + o.User, Err: err, Hint: "correct user and group"}
	}
	var stdout, stderr tail
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	where := fmt.Sprintf("%s (%s)", path, why)
	if err != nil && !errors.Is(err, exec.ErrWaitDelay) {
		switch {
		case ctx.Err() != nil:
			return Interpreter{}, ctx.Err()
		case timed.Err() != nil:
			err = fmt.Errorf("it did not start within %v", o.limit(versionLimit))
		}
		if line := lastLine(stderr.String()); line != "" {
			err = fmt.Errorf("%w: %s", err, line)
		}
		hint := "make the virtual environment anew, or name another: --venv FOLDER"
		if o.User != "" && errors.Is(err, fs.ErrPermission) {
			where += " as user " + o.User
			hint = "name one that this user may run: python = \"/usr/bin/python3\", or venv, under [app.NAME]"
		}
		return Interpreter{}, &Error{Problem: "cannot run the interpreter " + where, Err: err, Hint: hint}
	}
	i, ok := parseVersion(stdout.String())
	if !ok {
		return Interpreter{}, &Error{Problem: where + " does not answer as Python does", Hint: "name a Python interpreter, " + MinVersion + " or newer: --python FILE"}
	}
	if i.Path == "" || !filepath.IsAbs(i.Path) {
		i.Path = path
	}
	i.Why = why
	var major, minor int
	if _, err := fmt.Sscanf(i.Version, "%d.%d", &major, &minor); err != nil || major < 3 || major == 3 && minor < 8 {
		return Interpreter{}, &Error{
			Problem: fmt.Sprintf("%s is Python %s; %s or newer is needed", where, i.Version, MinVersion),
			Hint:    "name a newer one: --venv FOLDER or --python FILE",
		}
	}
	return i, nil
}

// parseVersion finds the line of versionScript: start-up files may print too.
func parseVersion(output string) (Interpreter, bool) {
	for _, line := range bytes.Split([]byte(output), []byte("\n")) {
		fields := strings.Split(strings.TrimRight(string(line), "\r"), "\t")
		if len(fields) == 4 && fields[0] == "millrace" {
			return Interpreter{Version: fields[1], Implementation: fields[2], Path: fields[3]}, true
		}
	}
	return Interpreter{}, false
}

// locate takes the first interpreter that is there, without running it.
func locate(o Options, dir string) (path, why string, err error) {
	if o.Python != "" {
		found, err := exec.LookPath(o.Python)
		if err == nil {
			found, err = filepath.Abs(found)
		}
		if err != nil {
			return "", "", &Error{Problem: "there is no interpreter " + o.Python, Err: err, Hint: "give the path of a python3"}
		}
		return found, "as configured", nil
	}
	if o.Venv != "" {
		if found := inVenv(o.Venv); found != "" {
			return found, "the virtual environment " + o.Venv, nil
		}
		return "", "", &Error{
			Problem: o.Venv + " is not a virtual environment: it has no " + filepath.Join(venvPython()...),
			Hint:    "make it: python3 -m venv " + o.Venv,
		}
	}
	if active := os.Getenv("VIRTUAL_ENV"); active != "" {
		if found := inVenv(active); found != "" {
			return found, "$VIRTUAL_ENV", nil
		}
	}
	for _, name := range []string{".venv", "venv"} {
		if found := inVenv(filepath.Join(dir, name)); found != "" {
			return found, name + " beside the app", nil
		}
	}
	found, err := exec.LookPath("python3")
	if err == nil {
		found, err = filepath.Abs(found)
	}
	if err != nil {
		return "", "", &Error{
			Problem: "there is no Python: no --venv, no $VIRTUAL_ENV, no .venv or venv in " + dir + ", no python3 on the path",
			Hint:    "install python3, or name an interpreter: --python FILE",
		}
	}
	return found, "python3 on the path", nil
}

// inVenv is the interpreter of a virtual environment, absolute; "" if there
// is none. Links are kept: a venv's python is told by its place.
func inVenv(folder string) string {
	path, err := filepath.Abs(filepath.Join(append([]string{folder}, venvPython()...)...))
	if err != nil || !isFile(path) {
		return ""
	}
	return path
}

func venvPython() []string {
	if runtime.GOOS == "windows" {
		return []string{"Scripts", "python.exe"}
	}
	return []string{"bin", "python"}
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}
