package server

// Symlinks in the paths of a plan.
//
// A site is often deployed by a symlink, "current", that is put on another
// release. What a generation was started from must stay what it was: a worker
// that imports a module late, or is started anew, must not get the code of the
// next release. So the symlinks of its paths are resolved once, when it is
// made, and again at each reload.

import (
	"os"
	"path/filepath"
	"strings"

	"millrace/internal/config"
)

// Settle resolves the symlinks in the paths of the plan's apps and files, and
// reads its maintenance pages. It is called where the plan is made, so that all
// of it is of one moment.
func (p *Plan) Settle() error {
	if err := p.readPages(os.Geteuid() == 0); err != nil {
		return err
	}
	for _, a := range p.Config.Apps {
		settleApp(a)
	}
	for i := range p.Config.Sites {
		site := &p.Config.Sites[i]
		if site.Root != "" {
			site.Root = settledFolder(site.Root)
		}
		for j := range site.Routes {
			if f := site.Routes[j].Files; f != nil {
				for k, root := range f.Root {
					f.Root[k] = settledFolder(root)
				}
			}
		}
	}
	return nil
}

// settleApp resolves an app's paths. Those in a chroot are not ours to look at:
// they become what they are called there.
func settleApp(a *config.App) {
	if a.Chroot != "" {
		enterRoot(a)
		a.Chroot = settledFolder(a.Chroot)
		return
	}
	a.Dir, a.Python = settledFolder(a.Dir), settled(a.Python)
	if len(a.Command) > 0 {
		a.Command[0] = settled(a.Command[0])
	}
	for _, p := range a.Attached {
		p.Command[0] = settled(p.Command[0])
	}
}

// settledFolder resolves a path's symlinks. One that cannot be resolved stays
// as it is: whoever opens it says why.
func settledFolder(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	return path
}

// settledList resolves the symlinks of a list of folders, as in a variable.
func settledList(list string) string {
	paths := filepath.SplitList(list)
	for i, path := range paths {
		if filepath.IsAbs(path) {
			paths[i] = settledFolder(path)
		}
	}
	return strings.Join(paths, string(os.PathListSeparator))
}

// settled resolves the symlinks of a program's folder, and not the program's:
// it may go by the name and the place that it is called by, as the python of a
// virtual environment does.
func settled(program string) string {
	if program == "" || !filepath.IsAbs(program) {
		return program
	}
	if venv := venvOf(&config.App{Python: program}); venv != "" { // whose bin may be a symlink itself
		return filepath.Join(settledFolder(venv), filepath.Base(filepath.Dir(program)), filepath.Base(program))
	}
	path := filepath.Join(settledFolder(filepath.Dir(program)), filepath.Base(program))
	if _, err := os.Stat(path); err != nil {
		return program
	}
	return path
}
