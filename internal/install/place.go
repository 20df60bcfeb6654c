package install

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// System is where an installation goes. The zero value is this system.
type System struct {
	Root string // what paths are below; a test has its own

	// Run runs a command; nil: it is run. What it prints is in its error.
	Run func(args []string) error
}

// manifests is the folder of what was installed, by name.
const manifests = "/var/lib/millrace/services"

// manifest is what was installed.
type manifest struct {
	Name    string    `json:"name"`
	Kind    Kind      `json:"kind"`
	Files   []placed  `json:"files"`
	Folders []string  `json:"folders"` // that were made for them
	Disable []Command `json:"disable"`
	After   []Command `json:"after"`
}

// placed is a file as it was put there.
type placed struct {
	Path string      `json:"path"`
	Mode fs.FileMode `json:"mode,omitempty"`
	Sum  string      `json:"sha256,omitempty"`
	Link string      `json:"link,omitempty"`
}

func (s *System) at(path string) string { return filepath.Join(s.Root, path) }

func (s *System) manifest(name string) string { return s.at(manifests + "/" + name + ".json") }

// Install puts an installation in place and has it started. A service of that
// name that was installed before is replaced; a file that was not installed, or
// was changed since, is in the way. What was put in place before an error is
// taken back.
func (s *System) Install(i *Installation, w io.Writer) error {
	before, err := s.read(i.Name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, f := range i.Files {
		if err := s.free(f, before); err != nil {
			return err
		}
	}
	if before != nil {
		if err := s.Uninstall(i.Name, io.Discard); err != nil {
			return err
		}
	}
	m := &manifest{Name: i.Name, Kind: i.Kind, Disable: i.Disable, After: i.After}
	if before != nil { // what was made then, and holds more by now, is made by us still
		m.Folders = slices.DeleteFunc(before.Folders, s.missing)
	}
	if err := s.place(i, m); err != nil {
		_ = s.takeBack(m, io.Discard) // the error that matters is that one
		return err
	}
	for _, c := range i.Enable {
		if err := s.run(c); err != nil {
			fmt.Fprintln(w, "the files are in place; millrace service uninstall --name "+i.Name+" takes them back")
			return err
		}
	}
	for _, f := range i.Files {
		fmt.Fprintln(w, "installed "+f.Path)
	}
	for _, line := range i.Says {
		fmt.Fprintln(w, line)
	}
	return nil
}

// free says what is in the way of a file.
func (s *System) free(f File, before *manifest) error {
	info, err := os.Lstat(s.at(f.Path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return failed("look at", f.Path, err)
	}
	if before != nil {
		for _, p := range before.Files {
			if p.Path == f.Path {
				if s.same(p, info) {
					return nil
				}
				return &Error{f.Path + " was changed since it was installed", "move it away, or keep it and start the service by it as it is"}
			}
		}
	}
	return &Error{f.Path + " is there already, and was not installed by millrace", "move it away, or choose another name: --name NAME"}
}

// place writes the files, and the manifest before the first of them.
func (s *System) place(i *Installation, m *manifest) error {
	for _, f := range i.Files {
		p := placed{Path: f.Path, Mode: f.Mode, Link: f.Link}
		if f.Link == "" {
			p.Sum = sum([]byte(f.Content))
		}
		m.Folders = append(m.Folders, s.above(f.Path)...)
		m.Files = append(m.Files, p)
	}
	m.Folders = append(m.Folders, s.above(manifests+"/"+m.Name)...)
	if err := s.write(m); err != nil {
		return err
	}
	for _, f := range i.Files {
		path := s.at(f.Path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return failed("make the folder of", f.Path, err)
		}
		if f.Link != "" {
			if err := os.Symlink(f.Link, path); err != nil {
				return failed("link", f.Path, err)
			}
			continue
		}
		if err := writeNew(path, f); err != nil {
			return failed("write", f.Path, err)
		}
	}
	return nil
}

// above are the folders above a path that are not there.
func (s *System) above(path string) (folders []string) {
	for dir := filepath.Dir(path); dir != "/" && s.missing(dir); dir = filepath.Dir(dir) {
		folders = append(folders, dir)
	}
	return folders
}

func (s *System) missing(path string) bool {
	_, err := os.Lstat(s.at(path))
	return errors.Is(err, fs.ErrNotExist)
}

// writeNew writes a file that is not there: in a folder that somebody else may
// write in, it could be a link by now.
func writeNew(path string, f File) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = file.WriteString(f.Content)
	return errors.Join(err, file.Chmod(f.Mode), file.Close())
}

// Uninstall has a service stopped and takes it back. What was changed by hand
// since is left, and said.
func (s *System) Uninstall(name string, w io.Writer) error {
	m, err := s.read(name)
	if errors.Is(err, fs.ErrNotExist) {
		return &Error{"no service " + name + " was installed by millrace", s.installed()}
	}
	if err != nil {
		return err
	}
	for _, c := range m.Disable {
		if err := s.run(c); err != nil && !c.Optional {
			return err
		}
	}
	if err := s.takeBack(m, w); err != nil {
		return err
	}
	for _, c := range m.After {
		if err := s.run(c); err != nil && !c.Optional {
			return err
		}
	}
	return nil
}

// installed says which services are.
func (s *System) installed() string {
	all, _ := filepath.Glob(s.at(manifests + "/*.json"))
	if len(all) == 0 {
		return "none is; what was written by hand is removed by hand"
	}
	for i := range all {
		all[i] = strings.TrimSuffix(filepath.Base(all[i]), ".json")
	}
	return "these are: --name " + strings.Join(all, ", --name ")
}

func (s *System) takeBack(m *manifest, w io.Writer) error {
	for n := len(m.Files) - 1; n >= 0; n-- {
		p := m.Files[n]
		info, err := os.Lstat(s.at(p.Path))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			fmt.Fprintln(w, "gone already: "+p.Path)
			continue
		case err != nil:
			return failed("look at", p.Path, err)
		case !s.same(p, info):
			fmt.Fprintln(w, "left, since it was changed: "+p.Path)
			continue
		}
		if err := os.Remove(s.at(p.Path)); err != nil {
			return failed("remove", p.Path, err)
		}
		fmt.Fprintln(w, "removed "+p.Path)
	}
	if err := os.Remove(s.manifest(m.Name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return failed("remove", s.manifest(m.Name), err)
	}
	slices.SortFunc(m.Folders, func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) }) // the innermost first
	for _, dir := range slices.Compact(m.Folders) {
		err := os.Remove(s.at(dir))
		others := strings.HasPrefix(manifests+"/", dir+"/") // are installed still, maybe
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !others {
			fmt.Fprintln(w, "left, since there is more in it: "+dir)
		}
	}
	return nil
}

// same says whether a file is as it was put there.
func (s *System) same(p placed, info fs.FileInfo) bool {
	if p.Link != "" {
		target, err := os.Readlink(s.at(p.Path))
		return err == nil && target == p.Link
	}
	if !info.Mode().IsRegular() || info.Mode().Perm() != p.Mode || info.Size() > 1<<20 {
		return false
	}
	b, err := os.ReadFile(s.at(p.Path))
	return err == nil && sum(b) == p.Sum
}

func sum(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

func (s *System) read(name string) (*manifest, error) {
	if !goodName.MatchString(name) {
		return nil, &Error{fmt.Sprintf("%q cannot be the name of a service", name), "--name NAME: letters, digits, - _ and ."}
	}
	b, err := os.ReadFile(s.manifest(name))
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		return nil, failed("read", s.manifest(name), err)
	}
	m, ok := parseManifest(b, name)
	if !ok {
		return nil, &Error{s.manifest(name) + " is not what was written there", "remove it, and what was installed, by hand"}
	}
	return m, nil
}

// parseManifest reads the manifest of a service.
func parseManifest(b []byte, name string) (*manifest, bool) {
	m := new(manifest)
	if json.Unmarshal(b, m) != nil || m.Name != name || !goodName.MatchString(name) {
		return nil, false
	}
	paths := slices.Clone(m.Folders)
	for _, p := range m.Files {
		paths = append(paths, p.Path)
	}
	for _, path := range paths {
		if !strings.HasPrefix(path, "/") || filepath.Clean(path) != path || path == "/" {
			return nil, false
		}
	}
	for _, c := range slices.Concat(m.Disable, m.After) {
		if len(c.Args) == 0 {
			return nil, false
		}
	}
	return m, true
}

func (s *System) write(m *manifest) error {
	path := s.manifest(m.Name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return failed("make the folder", filepath.Dir(path), err)
	}
	b, err := json.MarshalIndent(m, "", "\t")
	if err != nil {
		return err
	}
	if err := os.WriteFile(path, append(b, '\n'), 0o644); err != nil {
		return failed("write", path, err)
	}
	return nil
}

// failed is what the system refused.
func failed(what, path string, err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	do := ""
	if errors.Is(err, fs.ErrPermission) {
		do = "run it as root: sudo millrace service ..."
	}
	return &Error{fmt.Sprintf("cannot %s %s: %v", what, path, err), do}
}

func (s *System) run(c Command) error {
	if s.Run != nil {
		return s.Run(c.Args)
	}
	out, err := exec.Command(c.Args[0], c.Args[1:]...).CombinedOutput()
	if err == nil {
		return nil
	}
	line := strings.Join(c.Args, " ")
	if errors.Is(err, exec.ErrNotFound) {
		return &Error{c.Args[0] + " is not here", "is this the system's supervisor? --kind takes another, --print shows what would be written"}
	}
	return &Error{fmt.Sprintf("%s: %v: %s", line, err, strings.TrimSpace(string(out))), "see what the system's log says"}
}
