package server

// The environment of an app's processes. What is a secret in it comes out of
// files that the app need not be able to read, and is said nowhere.

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"millrace/internal/config"
	"millrace/internal/supervise"
)

// maxEnvFile bounds a file of variables, and a secret. The kernel takes no
// variable of more than 128 KiB.
const maxEnvFile = 1 << 20

// environ is the environment of an app's processes: that of the plan, that of
// the app's virtual environment as "activate" sets it, and its own: files of
// variables, then secrets, then env. user is who they run as; nil: we. In
// development Python writes no bytecode: it takes a file that was changed twice
// in a second, to the same size, for unchanged.
func (p *Plan) environ(name string, user *supervise.User) ([]string, error) {
	a, vars := p.Config.Apps[name], map[string]string{}
	for _, v := range p.Environ {
		if name, value, ok := strings.Cut(v, "="); ok {
			vars[name] = value
		}
	}
	credentials := vars["CREDENTIALS_DIRECTORY"]
	if user != nil {
		moveIn(vars, user)
	}
	if venv := venvOf(a); venv != "" {
		delete(vars, "PYTHONHOME")
		vars["VIRTUAL_ENV"] = venv
		vars["PATH"] = filepath.Dir(a.Python) + string(os.PathListSeparator) + vars["PATH"]
	}
	if p.Development {
		vars["PYTHONDONTWRITEBYTECODE"] = "1"
	}
	if err := addFiles(vars, a, name, credentials); err != nil {
		return nil, err
	}
	maps.Copy(vars, a.Env)
	if path := vars["PYTHONPATH"]; path != "" && a.Chroot == "" {
		vars["PYTHONPATH"] = settledList(path)
	}
	all := make([]string, 0, len(vars))
	for name, value := range vars {
		all = append(all, name+"="+value)
	}
	slices.Sort(all) // so that two generations compare equal
	return all, nil
}

// moveIn makes an environment a user's: what of it was about the user that
// started millrace is not about this one.
func moveIn(vars map[string]string, user *supervise.User) {
	for _, name := range []string{
		"MAIL", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR", "XDG_STATE_HOME",
	} {
		delete(vars, name)
	}
	vars["HOME"] = user.Home
	if user.Home == "" {
		vars["HOME"] = "/"
	}
	for _, name := range []string{"USER", "LOGNAME"} {
		vars[name] = user.Name
		if user.Name == "" {
			delete(vars, name)
		}
	}
}

// venvOf is the virtual environment that an app's interpreter belongs to, or "".
func venvOf(a *config.App) string {
	if a.Python == "" {
		return "" // a program
	}
	dir := filepath.Dir(filepath.Dir(a.Python))
	if _, err := os.Stat(filepath.Join(a.Chroot, dir, "pyvenv.cfg")); err != nil {
		return ""
	}
	return dir
}

// addFiles adds what an app's env_file and secrets hold.
func addFiles(vars map[string]string, a *config.App, name, credentials string) error {
	where := "[app." + name + "]"
	fail := func(key, path string, err error) error {
		e := &Error{Problem: fmt.Sprintf("%s = %q in %s", key, path, where), Err: cause(err), Fix: "check the file and its rights"}
		if errors.Is(err, errNoCredentials) {
			e.Fix = "start millrace by systemd, with LoadCredential= in its unit; or name a file"
		}
		return e
	}
	for _, path := range a.EnvFile {
		text, shown, err := readSecret(path, credentials)
		if err != nil {
			return fail("env_file", path, err)
		}
		if err := parseEnvFile(text, vars); err != nil {
			return &Error{Problem: shown + err.Error(), Fix: "write NAME=value, as in a file of systemd's EnvironmentFile; quotes stand around a whole value"}
		}
	}
	for _, variable := range slices.Sorted(maps.Keys(a.Secrets)) {
		path := a.Secrets[variable]
		text, _, err := readSecret(path, credentials)
		if err == nil && bytes.IndexByte(text, 0) >= 0 {
			err = errNUL
		}
		if err != nil {
			return fail("secrets: "+variable, path, err)
		}
		vars[variable] = strings.TrimSuffix(string(text), "\n")
	}
	return nil
}

var (
	errNoCredentials = errors.New("there is no CREDENTIALS_DIRECTORY in the environment")
	errNUL           = errors.New("it holds a NUL byte, which no variable can")
)

// readSecret reads a file, or a credential of systemd; shown is its path.
func readSecret(given, credentials string) (text []byte, shown string, err error) {
	path := given
	if name, ok := strings.CutPrefix(given, "credential:"); ok {
		if credentials == "" {
			return nil, given, errNoCredentials
		}
		path = filepath.Join(credentials, name)
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a named pipe must not hold us
	if err != nil {
		return nil, path, err
	}
	defer f.Close()
	switch info, err := f.Stat(); {
	case err != nil:
		return nil, path, err
	case !info.Mode().IsRegular():
		return nil, path, errors.New("it is no file")
	}
	if text, err = io.ReadAll(io.LimitReader(f, maxEnvFile+1)); err == nil && len(text) > maxEnvFile {
		err = fmt.Errorf("it is larger than %d bytes", maxEnvFile)
	}
	return text, path, err
}
