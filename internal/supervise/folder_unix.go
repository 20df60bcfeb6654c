//go:build unix

package supervise

// Commands that stand for many programs: those in a folder.

import (
	"bytes"
	"errors"
	"fmt"
	"os/user"
	"path"
	"slices"
	"strconv"
	"strings"

	"millrace/internal/docroot"
)

// Folder makes a Command stand for the programs in a folder: which one is
// started Start.Program says. It is looked up and checked by the launcher, as
// who started it: a front that asks for one needs no rights in the folder.
type Folder struct {
	// Root is the folder; "": Home below the home of the user that Start.Owner
	// names, who must be one of Users.
	Root, Home string
	Users      Users

	Follow       bool              // a symbolic link may lead out of the folder; never with AsOwner
	Interpreters map[string]string // by extension (".pl"): what is given the file as its argument; other files are executed themselves
	AsOwner      *AsOwner          // nil: as Command.Rights say
}

// AsOwner has a program run as the owner of its file, if that cannot have been
// made a tool by somebody else. The rules are those of Apache's suexec, and a
// few more:
//
//   - the file is a regular one, not writable by its group or others, without
//     setuid and setgid bits, and executable by its owner;
//   - its owner is not root, has at least MinUID, and a group of at least
//     MinGID, and is known to the system; so has the group of the file;
//   - its folder belongs to its owner as well, and each folder above it, up to
//     Root, to the owner or to root; none is writable by group or others;
//   - no symbolic link is on the way from Root to it.
//
// What was checked is what runs: the folder is entered by its descriptor. A
// binary program is executed by its descriptor. A script's interpreter opens it
// by its name, in the folder that nobody but its owner can change: what they
// change runs as themselves. (By a descriptor it would be /dev/fd/5 to itself,
// and find none of its own files.)
type AsOwner struct{ MinUID, MinGID uint32 }

// Users says who may have programs in their homes.
type Users struct {
	Enabled  []string // these alone; empty: all
	Disabled []string // but not these
	MinUID   uint32   // and none below it
}

// Has reports whether a user of this name is one of them.
func (u *Users) Has(name string) bool {
	return name != "" && !slices.Contains(u.Disabled, name) && (len(u.Enabled) == 0 || slices.Contains(u.Enabled, name))
}

// ErrRefused is what a Refusal is.
var ErrRefused = errors.New("the program is not run")

// Refusal says why a program of a folder is not run.
type Refusal struct{ Reason string }

func (e *Refusal) Error() string { return e.Reason }

// Is makes a Refusal an ErrRefused.
func (e *Refusal) Is(target error) bool { return target == ErrRefused }

func refused(format string, args ...any) error { return &Refusal{fmt.Sprintf(format, args...)} }

// chosen is a program of a folder as it is to be started.
type chosen struct {
	path   string // of its file
	folder int    // descriptor of its folder, to be entered; -1: the folder of path
	file   int    // its own, to be executed; -1: by its name
	user   *User  // nil: as Rights say
}

// choose looks a program up. rel is a relative path with slashes; owner is of
// Start.
func (f *Folder) choose(rel, owner string) (*chosen, error) {
	if clean, ok := docroot.Clean(rel); !ok || clean != rel || rel == "" {
		return nil, refused("%q is not the name of a program", rel)
	}
	root, home, err := f.root(owner)
	if err != nil {
		return nil, err
	}
	if f.AsOwner != nil {
		return f.chooseOwned(root, home, rel)
	}
	folder, err := docroot.Open(root)
	if err != nil {
		return nil, err
	}
	defer folder.Close()
	if home != nil {
		below, err := folder.Beneath(f.Home)
		if err != nil {
			return nil, err
		}
		defer below.Close()
		folder = below
	}
	info, err := folder.Look(rel, f.Follow)
	switch {
	case err != nil:
		return nil, err
	case info.Kind != docroot.Regular:
		return nil, refused("there is no file %s in %s", rel, folder.Real())
	case !info.Exec && f.interpreter(rel) == "":
		return nil, refused("%s in %s is not executable", rel, folder.Real())
	}
	return &chosen{path: folder.Real() + "/" + rel, folder: -1, file: -1}, nil
}

// root is the folder in which rel is, or the home of the user in which that is.
func (f *Folder) root(owner string) (string, *user.User, error) {
	if f.Root != "" {
		return f.Root, nil, nil
	}
	u, err := user.Lookup(owner)
	if err != nil || !f.Users.Has(u.Username) {
		return "", nil, refused("there is no user %q who may have programs", owner)
	}
	if uid, err := strconv.ParseUint(u.Uid, 10, 32); err != nil || uint32(uid) < f.Users.MinUID {
		return "", nil, refused("user %s has the number %s, and the least is %d", owner, u.Uid, f.Users.MinUID)
	}
	if !strings.HasPrefix(u.HomeDir, "/") || path.Clean(u.HomeDir) == "/" {
		return "", nil, refused("user %s has no home", owner)
	}
	return u.HomeDir, u, nil
}

// interpreter is what a file is given to; "": it is executed itself.
func (f *Folder) interpreter(rel string) string {
	return f.Interpreters[strings.ToLower(path.Ext(rel))]
}

// userOf looks up who a program is to run as.
func userOf(uid uint32) (*User, error) {
	entry, err := user.LookupId(strconv.FormatUint(uint64(uid), 10))
	if err != nil {
		return nil, refused("its owner, uid %d, is no user of this machine", uid)
	}
	gid, err := strconv.ParseUint(entry.Gid, 10, 32)
	if err != nil {
		return nil, refused("its owner, %s, has no group", entry.Username)
	}
	u := &User{UID: uid, GID: uint32(gid), Name: entry.Username, Home: entry.HomeDir}
	groups, err := entry.GroupIds()
	if err != nil {
		return nil, refused("the groups of its owner, %s, cannot be found", entry.Username)
	}
	for _, text := range groups {
		if n, err := strconv.ParseUint(text, 10, 32); err == nil {
			u.Groups = append(u.Groups, uint32(n))
		}
	}
	return u, nil
}

const scriptFilename = "SCRIPT_FILENAME="

// enter makes the instructions those of a program that was chosen.
func (in *instructions) enter() (*chosen, error) {
	f := in.Folder
	c, err := f.choose(string(in.Program), in.Owner)
	if err != nil {
		return nil, err
	}
	rest := in.Args
	in.Path, in.Dir = []byte(c.path), []byte(path.Dir(c.path))
	name := in.Path
	if c.folder >= 0 {
		name = []byte("./" + path.Base(c.path)) // of a script also its own name, as under suexec
	}
	in.Args = [][]byte{name}
	if interpreter := f.interpreter(string(in.Program)); interpreter != "" {
		in.Path, in.Args = []byte(interpreter), [][]byte{[]byte(interpreter), name}
	} else if c.folder >= 0 {
		in.Path = name
	}
	in.Args = append(in.Args, rest...)
	// An interpreter may go by its environment, as php-cgi does: what was checked
	// is what runs, whatever the front says.
	in.Env = slices.DeleteFunc(in.Env, func(v []byte) bool { return bytes.HasPrefix(v, []byte(scriptFilename)) })
	in.Env = append(in.Env, append([]byte(scriptFilename), c.path...))
	if c.user != nil {
		in.Rights.User = c.user
		in.Env = append(in.Env, []byte("HOME="+c.user.Home), []byte("USER="+c.user.Name), []byte("LOGNAME="+c.user.Name))
	}
	return c, nil
}
