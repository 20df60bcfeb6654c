package project

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// pythons are the interpreters of this machine that can run the worker: each
// python3.N on the path, and those of a pyenv.
func pythons(t *testing.T) map[string]string {
	t.Helper()
	var candidates []string
	for _, folder := range filepath.SplitList(os.Getenv("PATH")) {
		found, err := filepath.Glob(filepath.Join(folder, "python3.[0-9]*"))
		if err != nil {
			t.Fatal(err)
		}
		candidates = append(candidates, found...)
	}
	if pyenv, err := exec.LookPath("pyenv"); err == nil {
		root, err := exec.Command(pyenv, "root").Output()
		if err != nil {
			t.Fatal(err)
		}
		found, err := filepath.Glob(filepath.Join(string(root[:len(root)-1]), "versions", "*", "bin", "python3.[0-9]*"))
		if err != nil {
			t.Fatal(err)
		}
		candidates = append(candidates, found...)
	}
	byVersion := map[string]string{}
	for _, path := range candidates {
		python, err := findInterpreter(t.Context(), Options{Python: path}, ".")
		var refused *Error
		if errors.As(err, &refused) {
			continue // too old, python3.11-config, a wrapper of a version that is not chosen
		}
		if err != nil {
			t.Fatal(err)
		}
		byVersion[python.Implementation+" "+python.Version] = python.Path
	}
	if len(byVersion) == 0 {
		t.Fatal("no interpreter was found")
	}
	return byVersion
}

func TestEveryInterpreterAnswers(t *testing.T) {
	clean(t)
	folder := files(t, map[string]string{
		"wsgi.py": "from __future__ import annotations\ntry:\n    application: object = 1\nfinally:\n    pass\n",
	})
	for version, path := range pythons(t) {
		t.Run(version, func(t *testing.T) {
			found := find(t, Options{Target: folder, Python: path})
			if got := found.Config.Apps[AppName].WSGI; found.Problem != nil || got != "wsgi:application" {
				t.Errorf("wsgi %s, problem %v", got, found.Problem)
			}
		})
	}
}
