package supervise

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// account is a user that every Debian has.
func account(t testing.TB, name string) (u *user.User, uid, gid int) {
	t.Helper()
	u, err := user.Lookup(name)
	if err != nil {
		t.Skip(err)
	}
	uid, _ = strconv.Atoi(u.Uid)
	gid, _ = strconv.Atoi(u.Gid)
	return u, uid, gid
}

// programs is a folder of programs that other users may enter.
func programs(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "millrace-programs-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

const says = "#!/bin/sh\necho \"$0 $(id -u) $(id -g) $(pwd) $HOME $USER $* $WHAT\"\n"

// place makes a file and its folder, both an owner's.
func place(t testing.TB, path, text string, mode os.FileMode, uid, gid int) {
	t.Helper()
	_, err := os.Stat(filepath.Dir(path))
	if err != nil {
		err = errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.Chown(filepath.Dir(path), uid, gid))
	}
	for _, err := range []error{err, os.WriteFile(path, []byte(text), 0o600), os.Chown(path, uid, gid), os.Chmod(path, mode)} {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// ask starts a program and returns what it prints.
func ask(t testing.TB, f *Folder, program, owner string, args ...string) (string, error) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	p, err := Local{}.Start(Start{
		Command: &Command{Name: "cgi", Env: []string{"PATH=/usr/bin:/bin"}, PerRequest: true, Folder: f},
		Program: program, Owner: owner, Args: args, Env: []string{"WHAT=this", "SCRIPT_FILENAME=/forged"}, Files: []*os.File{nil, w, os.Stderr},
	})
	w.Close()
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if x := p.Wait(); !x.OK() {
		t.Errorf("%s: %v", program, x)
	}
	return strings.TrimSpace(string(text)), nil
}

func TestFolder(t *testing.T) {
	dir := programs(t)
	uid, gid := os.Getuid(), os.Getgid()
	place(t, dir+"/sub/a.cgi", says, 0o755, uid, gid)
	place(t, dir+"/sub/plain", says, 0o644, uid, gid)
	place(t, dir+"/sub/x.sh", "echo by $0 $*", 0o644, uid, gid)
	if err := os.Symlink("/bin/true", dir+"/out"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("sub/a.cgi", dir+"/in"); err != nil {
		t.Fatal(err)
	}
	f := &Folder{Root: dir, Interpreters: map[string]string{".sh": "/bin/sh"}}
	place(t, dir+"/file", "#!/bin/sh\necho $SCRIPT_FILENAME", 0o755, uid, gid)
	me := fmt.Sprintf(" %d %d ", uid, gid)
	for program, want := range map[string]string{
		"sub/a.cgi": dir + "/sub/a.cgi" + me + dir + "/sub   one two this",
		"in":        dir + "/in" + me + dir + "   one two this",
		"sub/x.sh":  "by " + dir + "/sub/x.sh one two",
		"file":      dir + "/file",
	} {
		if got, err := ask(t, f, program, "", "one", "two"); err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", program, got, err, want)
		}
	}
	// The environment has the file once, and as it was checked.
	if env, err := os.ReadFile("/usr/bin/env"); err == nil {
		place(t, dir+"/environ", string(env), 0o755, uid, gid)
		got, err := ask(t, f, "environ", "")
		if err != nil || strings.Count(got, "SCRIPT_FILENAME=") != 1 || !strings.Contains(got, "SCRIPT_FILENAME="+dir+"/environ") {
			t.Errorf("the environment is %q, %v", got, err)
		}
	}
	for program, want := range map[string]string{
		"sub/plain": "not executable", "out": "no file", "none": "no file", "sub": "no file", "": "not the name", "../bin/true": "not the name",
		"/bin/true": "not the name", "sub//a.cgi": "not the name", "sub/a.cgi\x00": "not the name", "./in": "not the name", ".hidden": "not the name", "sub/a.cgi/": "not the name",
	} {
		if got, err := ask(t, f, program, ""); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %q, %v; want %s", program, got, err, want)
		}
	}
}

// TestAsOwner holds the rules of suexec, one by one.
func TestAsOwner(t *testing.T) {
	needRoot(t)
	games, uid, gid := account(t, "games")
	_, other, _ := account(t, "man")
	const unknown = 61099
	dir := programs(t)
	f := &Folder{Root: dir, AsOwner: &AsOwner{MinUID: 2, MinGID: 2}, Interpreters: map[string]string{".sh": "/bin/sh"}}
	id, err := os.ReadFile("/usr/bin/id")
	if err != nil {
		t.Skip(err)
	}
	place(t, dir+"/g/a.cgi", says, 0o755, uid, gid)
	place(t, dir+"/g/only.cgi", says, 0o500, uid, gid)
	place(t, dir+"/g/x.sh", "echo by $0 $(id -u)", 0o600, uid, gid)
	place(t, dir+"/g/id", string(id), 0o700, uid, gid)
	place(t, dir+"/g/secret", string(id), 0o100, uid, gid) // not even to be read
	place(t, dir+"/g/sub/deep.cgi", says, 0o755, uid, gid)
	me := fmt.Sprintf(" %d %d %s/g", uid, gid, dir)
	who := fmt.Sprintf("uid=%d(games) gid=%d(games) groups=%d(games)", uid, gid, gid)
	for program, want := range map[string]string{
		"g/a.cgi":        "./a.cgi" + me + " " + games.HomeDir + " games one this",
		"g/only.cgi":     "./only.cgi" + me + " " + games.HomeDir + " games one this",
		"g/sub/deep.cgi": "./deep.cgi" + me + "/sub " + games.HomeDir + " games one this",
		"g/x.sh":         fmt.Sprintf("by ./x.sh %d", uid),
	} {
		if got, err := ask(t, f, program, "", "one"); err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", program, got, err, want)
		}
	}
	for _, program := range []string{"g/id", "g/secret"} {
		if got, err := ask(t, f, program, ""); err != nil || got != who {
			t.Errorf("%s: %q, %v; want %q", program, got, err, who)
		}
	}

	mode := func(path string, mode os.FileMode) {
		t.Helper()
		if err := os.Chmod(dir+path, mode); err != nil {
			t.Fatal(err)
		}
	}
	place(t, dir+"/root.cgi", says, 0o755, 0, 0)
	place(t, dir+"/g/groupwrite.cgi", says, 0o775, uid, gid)
	place(t, dir+"/g/otherwrite.cgi", says, 0o757, uid, gid)
	place(t, dir+"/g/plain.cgi", says, 0o644, uid, gid)
	place(t, dir+"/g/groupexec.cgi", says, 0o655, uid, gid)
	place(t, dir+"/g/setuid.cgi", says, 0o755, uid, gid)
	mode("/g/setuid.cgi", 0o755|os.ModeSetuid)
	place(t, dir+"/g/setgid.cgi", says, 0o755, uid, gid)
	mode("/g/setgid.cgi", 0o755|os.ModeSetgid)
	place(t, dir+"/g/theirs.cgi", says, 0o755, other, gid)
	place(t, dir+"/g/rootgroup.cgi", says, 0o755, uid, 0)
	place(t, dir+"/u/unknown.cgi", says, 0o755, unknown, unknown)
	place(t, dir+"/w/a.cgi", says, 0o755, uid, gid)
	mode("/w", 0o775)
	place(t, dir+"/ww/sub/a.cgi", says, 0o755, uid, gid)
	mode("/ww", 0o757)
	place(t, dir+"/m/x", "", 0o644, other, other)
	place(t, dir+"/m/g/a.cgi", says, 0o755, uid, gid) // in a folder of somebody else's
	place(t, dir+"/d/a.cgi", says, 0o755, uid, gid)
	for _, err := range []error{
		os.Chown(dir+"/d", other, other), // another's folder: a hard link to his file
		os.Symlink("a.cgi", dir+"/g/link.cgi"), os.Symlink("g", dir+"/linked"), os.Symlink(dir+"/g/a.cgi", dir+"/m/steal.cgi"),
		os.Link(dir+"/g/a.cgi", dir+"/m/hard.cgi"), os.Mkdir(dir+"/g/folder.cgi", 0o755),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for program, want := range map[string]string{
		"root.cgi": "belongs to root", "g/groupwrite.cgi": "can be written by others", "g/otherwrite.cgi": "can be written by others",
		"g/plain.cgi": "not executable by its owner", "g/groupexec.cgi": "not executable by its owner", "g/setuid.cgi": "setuid or setgid", "g/setgid.cgi": "setuid or setgid",
		"g/theirs.cgi": "and its folder to uid", "g/rootgroup.cgi": "has the group 0", "u/unknown.cgi": "no user of this machine",
		"w/a.cgi": "folder " + dir + "/w can be written", "ww/sub/a.cgi": "folder " + dir + "/ww can be written", "m/g/a.cgi": "above it to uid", "d/a.cgi": "and its folder to uid",
		"g/link.cgi": "symbolic link", "linked/a.cgi": dir + "/linked is a symbolic link", "m/steal.cgi": "symbolic link", "m/hard.cgi": "and its folder to uid", "g/folder.cgi": "is no file",
		"g/../root.cgi": "not the name", "g/.hidden.cgi": "not the name",
	} {
		got, err := ask(t, f, program, "")
		if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %q, %v; want %s", program, got, err, want)
		}
	}
	if _, err := ask(t, f, "g/none.cgi", ""); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	for _, least := range []AsOwner{{MinUID: uint32(uid) + 1}, {MinGID: uint32(gid) + 1}} {
		strict := *f
		strict.AsOwner = &least
		if _, err := ask(t, &strict, "g/a.cgi", ""); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "the least is") {
			t.Errorf("%+v: %v", least, err)
		}
	}
	// The folder itself.
	mode("", 0o777)
	if _, err := ask(t, f, "g/a.cgi", ""); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), dir+" can be written") {
		t.Errorf("a root that anybody may write in: %v", err)
	}
}

// TestAsOwnerRace: while somebody exchanges what the name leads to, nothing
// runs as a user but what is that user's.
func TestAsOwnerRace(t *testing.T) {
	needRoot(t)
	_, uid, gid := account(t, "games")
	_, other, othersGroup := account(t, "man")
	dir := programs(t)
	place(t, dir+"/games/a.cgi", "#!/bin/sh\necho games $(id -u)\n", 0o755, uid, gid)
	place(t, dir+"/man/a.cgi", "#!/bin/sh\necho man $(id -u)\n", 0o755, other, othersGroup)
	f := &Folder{Root: dir, AsOwner: &AsOwner{MinUID: 2, MinGID: 2}}
	stop, done := make(chan struct{}), make(chan struct{})
	go func() { // it is the administrator's folder; whoever could do so there could do the same
		defer close(done)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			_ = os.Remove(dir + "/now")
			switch i % 3 {
			case 0:
				_ = os.Symlink("games", dir+"/now")
			case 1:
				_ = os.Rename(dir+"/games", dir+"/now")
				_ = os.Rename(dir+"/now", dir+"/games")
			case 2:
				_ = os.Rename(dir+"/man", dir+"/now")
				_ = os.Rename(dir+"/now", dir+"/man")
			}
		}
	}()
	ran := 0
	for range 40 {
		for _, program := range []string{"now/a.cgi", "games/a.cgi"} {
			got, err := ask(t, f, program, "")
			switch {
			case err != nil:
			case got == fmt.Sprint("games ", uid), got == fmt.Sprint("man ", other):
				ran++
			default:
				t.Fatalf("%s ran as %q", program, got)
			}
		}
	}
	close(stop)
	<-done
	if ran == 0 {
		t.Error("nothing ran at all")
	}
}

// TestHomes: programs in a user's home are that user's.
func TestHomes(t *testing.T) {
	needRoot(t)
	games, _, _ := account(t, "games")
	f := &Folder{Home: "public_html", AsOwner: &AsOwner{MinUID: 2, MinGID: 2}}
	for owner, want := range map[string]string{"no-such-user": "no user", "": "no user", "root": "the least is", "../games": "no user"} {
		f.Users = Users{MinUID: 1}
		if _, err := ask(t, f, "a.cgi", owner); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", owner, err, want)
		}
	}
	for _, users := range []Users{{Disabled: []string{"games"}}, {Enabled: []string{"man"}}, {MinUID: 100000}} {
		f.Users = users
		if _, err := ask(t, f, "a.cgi", games.Username); !errors.Is(err, ErrRefused) {
			t.Errorf("%+v: %v", users, err)
		}
	}
	f.Users = Users{}
	if _, err := ask(t, f, "a.cgi", games.Username); err == nil || errors.Is(err, ErrRefused) {
		t.Errorf("a home without the folder: %v", err)
	}
}
