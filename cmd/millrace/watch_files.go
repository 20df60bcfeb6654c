package main

// This file: which files `serve --reload` looks at.

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"millrace/internal/config"
)

// sources are the endings of files that an app is made of: code, and what is
// read once and kept, as templates and translations are.
var sources = []string{".py", ".html", ".htm", ".jinja", ".jinja2", ".j2", ".mako", ".tmpl", ".mo"}

// isSource reports whether a file is part of an app. Editors begin the names of
// their own with a dot.
func isSource(name string) bool {
	return !strings.HasPrefix(name, ".") && slices.ContainsFunc(sources, func(end string) bool { return strings.HasSuffix(name, end) })
}

// skippedFolder reports whether a folder holds no code of the app's own.
func skippedFolder(path, name string) bool {
	if strings.HasPrefix(name, ".") || name == "node_modules" || name == "__pycache__" {
		return true
	}
	_, err := os.Lstat(filepath.Join(path, "pyvenv.cfg"))
	return err == nil
}

// places are where the files are.
type places struct {
	folders []string // all sources below them; none inside another
	files   []string // these as well, whatever their names
}

func (p places) equal(other places) bool {
	return slices.Equal(p.folders, other.folders) && slices.Equal(p.files, other.files)
}

// placesOf are those of a plan: the apps' folders; the configuration and what
// it reads.
func placesOf(f *found) places {
	var p places
	for _, a := range f.Config.Apps {
		p.folders = append(p.folders, filepath.Clean(a.Dir))
		p.files = append(p.files, filesOf(a)...)
	}
	for i := range f.Config.Sites {
		p.files = append(p.files, f.Config.Sites[i].Maintenance)
	}
	for _, file := range f.files {
		if abs, err := filepath.Abs(file); err == nil {
			p.files = append(p.files, abs)
		}
	}
	if strings.HasSuffix(f.Source, ".toml") {
		p.files = append(p.files, f.Source)
		for dir := filepath.Dir(f.Source); dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
			if info, err := os.Lstat(dir); err == nil && info.Mode()&os.ModeSymlink != 0 {
				p.files = append(p.files, dir)
			}
		}
	}
	slices.Sort(p.folders)
	p.folders = slices.Compact(p.folders)
	p.folders = slices.DeleteFunc(p.folders, func(dir string) bool {
		return slices.ContainsFunc(p.folders, func(other string) bool {
			return strings.HasPrefix(dir, strings.TrimSuffix(other, "/")+"/")
		})
	})
	slices.Sort(p.files)
	p.files = slices.DeleteFunc(slices.Compact(p.files), func(path string) bool { return !filepath.IsAbs(path) })
	return p
}

// filesOf are the files that an app's environment comes from.
func filesOf(a *config.App) []string {
	all := slices.Clone([]string(a.EnvFile))
	for _, path := range a.Secrets {
		all = append(all, path)
	}
	return all // those that are credentials have no path
}

// stamp is how a file was: two that are equal are the same file unchanged.
type stamp struct {
	size, time int64
	link       string // where a symlink leads
}

// stampOf looks at a file; false: it is not there.
func stampOf(path string) (stamp, bool) {
	info, err := os.Lstat(path)
	if err != nil {
		return stamp{}, false
	}
	if info.Mode()&os.ModeSymlink == 0 {
		return stamp{size: info.Size(), time: info.ModTime().UnixNano()}, true
	}
	link, err := os.Readlink(path)
	if err != nil {
		return stamp{}, false
	}
	s := stamp{link: link}
	if to, err := os.Stat(path); err == nil && !to.IsDir() { // of a folder: what it holds is looked at by itself
		s.size, s.time = to.Size(), to.ModTime().UnixNano()
	}
	return s, true
}
