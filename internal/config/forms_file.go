package config

// Forms of paths. Each is made absolute and looked up, so that what is
// missing is said before anything starts.

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

var (
	formFile   = form{takes: "the path of a file; its folder must exist", empty: true, check: checkFile}
	formSocket = form{takes: "the path of a Unix socket; its folder must exist", empty: true, check: checkSocket}
	formLog    = form{takes: `the path of a file, whose folder must exist, or "-" for stdout`, empty: true, check: checkLog}
	formFolder = form{takes: "the path of a folder that exists", check: checkFolder}
	formRoot   = form{takes: "the path of a folder that exists and holds files to be served", check: checkRoot}
	formSite   = form{takes: "the path of a folder that exists and holds files to be served", check: checkRootText, texts: true}
	formRoots  = form{takes: "the path of a folder that exists and holds files to be served, or a list of them", some: true, check: checkRootText, texts: true}
	formVenv   = form{takes: "the path of a virtual environment", empty: true, check: checkVenv}
	formPython = form{takes: "the path of a Python interpreter, or its name on the PATH", empty: true, check: checkPython}
)

// maxSocketPath is what fits into a socket's address on Linux (108 bytes and
// the NUL that ends them). Other systems take a few less, and say so.
const maxSocketPath = 107

func absolute(dir, path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(dir, path)
}

// folder looks up a path that is already absolute.
func folder(path, said string) *refusal {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && strings.HasPrefix(said, "~"):
		return &refusal{"there is no folder " + short(path), "~ is not expanded; write ${HOME}"}
	case errors.Is(err, fs.ErrNotExist):
		return &refusal{"there is no folder " + short(path), "correct the path, or make the folder: mkdir -p " + short(path)}
	case err != nil:
		return &refusal{fmt.Sprintf("cannot look at %s: %s", short(path), cause(err)), "check its rights and those of the folders above it"}
	case !info.IsDir():
		return &refusal{short(path) + " is not a folder", ""}
	}
	return nil
}

// cause is an error of the file system without the path, which may be long.
func cause(err error) string {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err.Error()
	}
	return err.Error()
}

func checkFolder(dir, text string) (string, *refusal) {
	path := absolute(dir, text)
	return path, folder(path, text)
}

func checkFile(dir, text string) (string, *refusal) {
	path := absolute(dir, text)
	if bad := folder(filepath.Dir(path), text); bad != nil {
		return "", bad
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return "", &refusal{short(path) + " is a folder", "write the path of a file in it"}
	}
	return path, nil
}

func checkLog(dir, text string) (string, *refusal) {
	if text == "-" {
		return text, nil
	}
	return checkFile(dir, text)
}

func checkSocket(dir, text string) (string, *refusal) {
	path, bad := checkFile(dir, text)
	if bad == nil && len(path) > maxSocketPath {
		return "", &refusal{
			fmt.Sprintf("the path of a Unix socket has at most %d bytes, this one has %d", maxSocketPath, len(path)),
			"use a folder nearer to /, like /run",
		}
	}
	return path, bad
}

// checkRootText is checkRoot for a root that may have placeholders: then only
// the folder above the first of them is there to be looked at.
func checkRootText(dir, text string) (string, *refusal) {
	path := absolute(dir, text)
	start := strings.IndexByte(path, '{')
	if start < 0 {
		return checkRoot(dir, text)
	}
	above := path[:strings.LastIndexByte(path[:start], filepath.Separator)+1]
	if filepath.Dir(above) == above {
		return "", &refusal{"begins with a placeholder: any folder of the machine could be meant", "let it begin with a folder that is fixed, like /srv/{host}"}
	}
	return path, folder(filepath.Clean(above), filepath.Clean(above))
}

// checkRoot refuses what would hand out the source code or the whole machine.
func checkRoot(dir, text string) (string, *refusal) {
	path := absolute(dir, text)
	if strings.Contains(path, "{") {
		return "", &refusal{"has a placeholder, which root of files alone may have", `make a last route without path: files = { root = "/srv/{host}" }`}
	}
	if bad := folder(path, text); bad != nil {
		return "", bad
	}
	if real, err := filepath.EvalSymlinks(path); path == filepath.Dir(path) || err == nil && real == filepath.Dir(real) {
		return "", &refusal{"would serve every file of this machine", "name the folder that holds the files to be served"}
	}
	if _, err := os.Lstat(filepath.Join(path, "manage.py")); err == nil {
		return "", &refusal{
			short(path) + " holds a manage.py: it would serve the project's source code and its secrets",
			"name the folder of the static files or of the uploads, not the project's",
		}
	}
	return path, nil
}

func checkVenv(dir, text string) (string, *refusal) {
	path := absolute(dir, text)
	if bad := folder(path, text); bad != nil {
		return "", bad
	}
	for _, python := range []string{"bin/python3", "bin/python", "Scripts/python.exe"} {
		if _, err := os.Stat(filepath.Join(path, filepath.FromSlash(python))); err == nil {
			return path, nil
		}
	}
	return "", &refusal{short(path) + " is not a virtual environment: it has no bin/python", "make one: python3 -m venv " + short(path)}
}

func checkPython(dir, text string) (string, *refusal) {
	if strings.ContainsRune(text, filepath.Separator) {
		text = absolute(dir, text)
	}
	path, err := exec.LookPath(text)
	if err != nil {
		var why *exec.Error
		reason := err.Error()
		if errors.As(err, &why) {
			reason = cause(why.Err)
		}
		return "", &refusal{"cannot run it: " + reason, "write the path of an interpreter, like /usr/bin/python3"}
	}
	return absolute(dir, path), nil
}
