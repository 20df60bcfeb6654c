package server

// The folders of users: "/~ann/x" is x in public_html of the home of ann.

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"sync"
	"syscall"

	"millrace/gateway"
	"millrace/internal/config"
	"millrace/internal/docroot"
	"millrace/internal/requestid"
	"millrace/internal/script"
	"millrace/internal/static"
	"millrace/internal/userdir"
)

// userDirs answers for the folders of users of one route.
type userDirs struct {
	c     *config.UserDirs
	users *userdir.Users
	files userFiles
	cgi   http.Handler // runs a program that was found; nil: there are none
	b     *builder
}

// maxUserFiles is of how many users the folders are held open.
const maxUserFiles = 256

func (b *builder) answerUserDirs(at *place) (http.Handler, error) {
	c := at.route.UserDirs
	u := &userDirs{c: c, b: b, users: userdir.New(userdir.Options{Enabled: c.Enabled, Disabled: c.Disabled, MinUID: uint32(c.MinUID)})}
	if c.CGI != nil {
		var err error
		if u.cgi, err = b.cgiGroup(at, c.CGI, "~/"+c.Folder); err != nil {
			return nil, err
		}
	}
	o := static.Options{Index: c.Index, Types: at.types, NotFound: http.HandlerFunc(userNotFound), Cache: b.files(), Log: b.log}
	if l := c.Listing; l != nil && !l.Off {
		o.Listing = listingOf(l)
	}
	u.files.open = func(user *userdir.User) (*static.Handler, error) {
		o := o
		o.Roots, o.Strip = []string{user.Home + "/" + c.Folder}, "/~"+user.Name
		o.Check = func(folder fs.FileInfo) error { return isInHome(user, c.Folder, folder) }
		return static.New(o)
	}
	b.tree.userFiles = append(b.tree.userFiles, &u.files)
	return u, nil
}

// userNotFound is the answer for what is not there, a user included.
func userNotFound(w http.ResponseWriter, _ *http.Request) { plainAnswer(w, http.StatusNotFound) }

// isInHome is an error unless an open folder is the one of the user: the way to
// it is the user's, who may change at any moment where it leads.
func isInHome(user *userdir.User, name string, folder fs.FileInfo) error {
	home, err := docroot.Open(user.Home)
	if err != nil {
		return err
	}
	defer home.Close()
	below, err := home.Beneath(name)
	if err != nil {
		return err
	}
	defer below.Close()
	if !below.Same(folder) {
		return fmt.Errorf("%s is not in the home of %s: %w", name, user.Name, fs.ErrNotExist)
	}
	return nil
}

func (u *userDirs) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, rest, slash, ok := userdir.Split(r.URL.Path)
	if !ok {
		userNotFound(w, r)
		return
	}
	user, ok := u.users.Find(name)
	switch {
	case !ok || !slash && !u.has(user):
		userNotFound(w, r)
	case !slash:
		toFolder(w, r)
	case u.cgi == nil || !u.program(w, r, user, rest):
		u.file(w, r, user)
	}
}

// has reports whether a user has a folder.
func (u *userDirs) has(user *userdir.User) bool {
	home, err := docroot.Open(user.Home)
	if err != nil {
		return false
	}
	defer home.Close()
	below, err := home.Beneath(u.c.Folder)
	if err == nil {
		_ = below.Close()
	}
	return err == nil
}

// program answers by a program of the user; false: there is none.
func (u *userDirs) program(w http.ResponseWriter, r *http.Request, user *userdir.User, path string) bool {
	s := scripts{mount: "/~" + user.Name, cgi: true, log: u.b.log}
	found, err := cgiFinder(u.c.CGI, script.Options{Root: user.Home, Below: u.c.Folder}).Find(path)
	switch {
	case err != nil && isShut(err): // its files tell the same
		return false
	case err != nil: // what cannot be looked for now must not be taken for a file: it may be a program's source
		s.refuse(w, r, &sorted{err: err})
	case found.Kind == script.Pass:
		return false
	case found.Kind == script.Run:
		r = withProgram(gateway.WithScript(r, s.script(&found)), &cgiProgramOf{file: found.Filename, rel: found.Name[1:], owner: user.Name})
		u.cgi.ServeHTTP(w, r)
	default:
		s.refuse(w, r, &sorted{kind: found.Kind})
	}
	return true
}

// isShut reports whether an error says that a folder is missing, or nobody's to
// enter.
func isShut(err error) bool {
	for _, e := range [...]error{fs.ErrNotExist, fs.ErrPermission, syscall.ENOTDIR, syscall.ELOOP} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// file answers by a file of the user.
func (u *userDirs) file(w http.ResponseWriter, r *http.Request, user *userdir.User) {
	f, err := u.files.enter(user)
	defer u.files.leave(f)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			u.b.log.Warn("cannot serve the folder of a user", "user", user.Name, "request", requestid.Of(r), "error", err)
		}
		userNotFound(w, r)
		return
	}
	f.handler.ServeHTTP(w, r)
}

// userFiles are the handlers of the files of users, each opened when it is first
// asked for; of too many the one that nobody has asked for longest is closed.
type userFiles struct {
	open func(*userdir.User) (*static.Handler, error)

	mu     sync.Mutex
	all    map[userdir.User]*userFile
	clock  int64 // of uses
	closed bool
}

type userFile struct {
	user    userdir.User
	once    sync.Once
	handler *static.Handler
	err     error

	used int64 // userFiles.clock
	in   int   // requests inside
	gone bool  // it is not in userFiles.all: who leaves last closes it
}

// enter returns a user's handler, which leave gives back.
func (u *userFiles) enter(user *userdir.User) (*userFile, error) {
	u.mu.Lock()
	f := u.all[*user]
	if f == nil {
		f = &userFile{user: *user}
		if u.all == nil {
			u.all = map[userdir.User]*userFile{}
		}
		if len(u.all) >= maxUserFiles {
			u.dropLocked(u.oldestLocked())
		}
		u.all[*user] = f
	}
	u.clock++
	f.used = u.clock
	f.in++
	u.mu.Unlock()
	f.once.Do(func() { f.handler, f.err = u.open(user) }) // a home on a file system that hangs holds up its own user alone
	return f, f.err
}

func (u *userFiles) oldestLocked() *userFile {
	var oldest *userFile
	for _, f := range u.all {
		if oldest == nil || f.used < oldest.used {
			oldest = f
		}
	}
	return oldest
}

// dropLocked takes a handler out.
func (u *userFiles) dropLocked(f *userFile) {
	if u.all[f.user] == f {
		delete(u.all, f.user)
	}
	if !f.gone {
		f.gone = true
		if f.in == 0 {
			f.close()
		}
	}
}

func (u *userFiles) leave(f *userFile) {
	u.mu.Lock()
	defer u.mu.Unlock()
	f.in--
	if f.err != nil || u.closed { // the next request tries again
		u.dropLocked(f)
	}
	if f.gone && f.in == 0 {
		f.close()
	}
}

// close closes a handler that nobody uses.
func (f *userFile) close() {
	if f.handler != nil {
		_ = f.handler.Close() // it was only read
		f.handler = nil
	}
}

// Close closes all.
func (u *userFiles) Close() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.closed = true
	for _, f := range u.all {
		u.dropLocked(f)
	}
	return nil
}
