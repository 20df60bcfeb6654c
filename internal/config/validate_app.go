package config

// How the keys of what an app runs go together: wsgi, command and its own.

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// program checks that an app has one of wsgi and command, and what belongs to
// them.
func (k *checker) program(path, where string, app *App) {
	wsgi, command := join(path, "wsgi"), join(path, "command")
	switch {
	case app.WSGI != "" && len(app.Command) > 0:
		k.fail(command, where+" has both wsgi and command", "make two apps, or leave one of the two out")
	case app.WSGI == "" && len(app.Command) == 0 && !k.bad[wsgi] && !k.bad[command]:
		k.fail(wsgi, "wsgi is missing in "+where, `write wsgi = "module:callable", or command = ["PROGRAM"]`)
	case len(app.Command) > 0:
		k.runs(command, where, app, app.Command)
		k.unused(path, where, `command runs no Python of ours`, "python", "venv", "preload", "after_fork", "warm_up")
	default:
		k.unused(path, where, `it is for command`, "protocol", "concurrency", "params")
	}
	if at := join(path, "params"); app.Protocol == "http" && len(app.Params) > 0 && !k.bad[at] {
		k.fail(at, fmt.Sprintf("params in %s: HTTP has no parameters", where), "leave them out, or take another protocol")
	}
	if app.Method == "threaded" && len(app.Command) > 0 && k.given(join(path, "method")) {
		k.refuse(spot{path: join(path, "method"), name: "method", where: where, form: &form{}}, `"threaded"`,
			&refusal{"the threads of a program are its own", "leave it out, and write concurrency for the number of requests that a process is given at a time"})
	}
	if app.Method == "cgi" {
		k.unused(path, where, `method = "cgi" starts a process for each request`, "scaling", "idle_timeout", "min_spare", "max_spare", "max_requests", "max_lifetime", "max_memory", "concurrency", "protocol", "warm_up")
	}
	switch app.Scaling {
	case "static":
		k.unused(path, where, `scaling = "static" keeps max_children workers`, "min_spare", "max_spare")
	case "ondemand":
		k.unused(path, where, `scaling = "ondemand" keeps no idle workers`, "min_spare", "max_spare")
	}
	if app.Scaling != "ondemand" {
		k.unused(path, where, `it is for scaling = "ondemand"`, "idle_timeout")
	}
	if app.SlowRequest > 0 && app.RequestTimeout > 0 && app.SlowRequest >= app.RequestTimeout {
		k.warn(join(path, "slow_request"), fmt.Sprintf("slow_request in %s has no effect: request_timeout is not longer", where), "slow_request < request_timeout")
	}
}

// unused warns of keys that were given and have no effect.
func (k *checker) unused(path, where, why string, keys ...string) {
	for _, key := range keys {
		if at := join(path, key); k.given(at) && !k.bad[at] {
			k.warn(at, fmt.Sprintf("%s in %s has no effect: %s", key, where, why), "leave it out")
		}
	}
}

// runs refuses a program that cannot be run. What a chroot holds is not looked
// at: its paths are not ours.
func (k *checker) runs(at, where string, app *App, command []string) {
	if k.bad[at] || app.Chroot != "" {
		return
	}
	program := programPath(app.Dir, command[0])
	_, err := exec.LookPath(program)
	if err == nil {
		command[0] = program
		return
	}
	reason := err.Error()
	var why *exec.Error
	if errors.As(err, &why) {
		reason = cause(why.Err)
	}
	hint := "install it, or write its path"
	if strings.Contains(command[0], " ") {
		hint = "each argument is a string of its own: [\"PROGRAM\", \"ARGUMENT\"]"
	}
	k.refuse(spot{path: at, name: "command", where: where, form: &form{}}, quote(command[0]), &refusal{"cannot run it: " + reason, hint})
}

// inVenv reports whether a program without a path is one of the app's virtual
// environment, which its PATH begins with. Which one that is is decided later,
// by package project, where neither python nor venv says it.
func (app *App) inVenv(program string) bool {
	if strings.ContainsRune(program, filepath.Separator) {
		return false
	}
	bins := []string{filepath.Join(app.Venv, "bin")}
	switch {
	case app.Python != "":
		bins = []string{filepath.Dir(app.Python)}
	case app.Venv == "" && app.WSGI != "":
		bins = nil
		for _, venv := range []string{os.Getenv("VIRTUAL_ENV"), filepath.Join(app.Dir, ".venv"), filepath.Join(app.Dir, "venv")} {
			bins = append(bins, filepath.Join(venv, "bin"))
		}
	case app.Venv == "":
		return false
	}
	for _, bin := range bins {
		if !filepath.IsAbs(bin) {
			continue
		}
		if info, err := os.Stat(filepath.Join(bin, program)); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return true
		}
	}
	return false
}

func (k *checker) attached(path, where string, app *App, a *Attached) {
	at := join(path, "command")
	switch {
	case k.bad[path] || k.bad[at]:
	case len(a.Command) == 0:
		k.fail(at, "command is missing in "+where, `write command = ["PROGRAM", "ARGUMENT"]`)
	case app.inVenv(a.Command[0]):
	default:
		k.runs(at, where, app, a.Command)
	}
}
