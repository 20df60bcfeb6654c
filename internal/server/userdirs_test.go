package server

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/user"
	"path/filepath"
	"sync"
	"testing"

	"millrace/internal/config"
	"millrace/internal/userdir"
)

// homes makes the folders of users out of temporary ones.
func homes(t *testing.T, c *config.UserDirs, names ...string) (dir string, u *userDirs) {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s := launch(t, parse(t, wholeSite(t), whole), newFakeApps())
	b := &builder{plan: s.opt.Plan, log: s.Server.log, server: s.Server, tree: &tree{}}
	at := &place{site: &config.Site{}, route: &config.Route{Path: "/~*", UserDirs: c}, name: placeName(0, 0), entry: &reentry{}}
	h, err := b.answerUserDirs(at)
	if err != nil {
		t.Fatal(err)
	}
	u = h.(*userDirs)
	at.entry.site = u
	u.users = userdir.New(userdir.Options{Lookup: func(name string) (*user.User, error) {
		for i, one := range names {
			if one == name {
				return &user.User{Username: name, Uid: fmt.Sprint(1000 + i), HomeDir: filepath.Join(dir, name)}, nil
			}
		}
		return nil, user.UnknownUserError(name)
	}})
	t.Cleanup(func() { _ = u.files.Close() })
	return dir, u
}

func askDirs(h http.Handler, path string) (code int, text, location string) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	return w.Code, w.Body.String(), w.Header().Get("Location")
}

func TestUserDirs(t *testing.T) {
	c := &config.UserDirs{Folder: "public_html", Index: []string{"index.html"}, CGI: &config.CGI{Extensions: []string{".cgi"}, MaxChildren: 5, Interpreters: map[string]string{}}}
	dir, u := homes(t, c, "ann", "bob", "cal", "dan", "eve")
	writeAll(t, dir, map[string]string{
		"ann/public_html/index.html": "ann's page",
		"ann/public_html/sub/x.txt":  "x",
		"ann/public_html/.secret":    "secret",
		"ann/private.txt":            "private",
		"ann/public_html/plain.cgi":  "its text",
		"outside/x.txt":              "outside",
		"bob/x.txt":                  "bob has no folder",
		"eve/www/x.txt":              "eve's",
	})
	for name, to := range map[string]string{
		"ann/public_html/out": "../../outside", "ann/public_html/up": "../private.txt", "ann/public_html/in": "sub/x.txt",
		"cal/public_html": "../outside", "dan/public_html": dir + "/outside", "eve/public_html": dir + "/eve/www",
	} {
		if err := os.MkdirAll(filepath.Dir(dir+"/"+name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(to, dir+"/"+name); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]string{"/~ann/": "ann's page", "/~ann/sub/x.txt": "x", "/~ann/in": "x", "/~eve/x.txt": "eve's"} {
		if code, text, _ := askDirs(u, path); code != 200 || text != want {
			t.Errorf("%s: %d %q, want %q", path, code, text, want)
		}
	}
	for path, want := range map[string]string{"/~ann": "/~ann/", "/~ann/sub": "/~ann/sub/", "/~eve": "/~eve/"} {
		if code, _, location := askDirs(u, path); code != 301 || location != want {
			t.Errorf("%s: %d to %q, want %q", path, code, location, want)
		}
	}
	_, nobody, _ := askDirs(u, "/~nobody/")
	for _, path := range []string{
		"/~nobody", "/~nobody/x", "/~", "/~/", "/~bob", "/~bob/", "/~bob/x.txt", "/~cal", "/~cal/", "/~cal/x.txt", "/~dan/x.txt", "/~ann/none", "/~ann/.secret", "/~ann/out/x.txt", "/~ann/up",
		"/~..", "/~../x", "/~%00/", "/x", "/~ann/sub/", "/~ann/none.cgi",
	} {
		if code, text, _ := askDirs(u, path); code != 404 || text != nobody {
			t.Errorf("%s: %d %q, want 404 and what a user who is not there has: %q", path, code, text, nobody)
		}
	}
	if code, text, _ := askDirs(u, "/~ann/plain.cgi"); code != 403 {
		t.Errorf("a program that is not executable: %d %q", code, text)
	}
	// What is served now is no more when the user lets it lead elsewhere.
	if err := os.Rename(dir+"/ann/public_html", dir+"/ann/old"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../outside", dir+"/ann/public_html"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the folder that led out is not served", func() bool { code, _, _ := askDirs(u, "/~ann/sub/x.txt"); return code == 404 })
	if code, text, _ := askDirs(u, "/~ann/x.txt"); code != 404 {
		t.Errorf("what is outside of the home: %d %q", code, text)
	}
}

// A user's programs are theirs; what is none is a file.
func TestUserPrograms(t *testing.T) {
	c := &config.UserDirs{Folder: "www", CGI: &config.CGI{Extensions: []string{".cgi"}, Index: "index.cgi", MaxChildren: 5}}
	dir, u := homes(t, c, "ann")
	executable(t, dir+"/ann/www/a.cgi", cgiSays+`echo never`)
	write(t, dir+"/ann/www/x.txt", "x")
	if code, text, _ := askDirs(u, "/~ann/x.txt"); code != 200 || text != "x" {
		t.Errorf("a file: %d %q", code, text)
	}
	// The launcher asks the system, which knows no such user: whatever the front
	// says, nothing runs.
	if code, text, _ := askDirs(u, "/~ann/a.cgi/info"); code != 403 {
		t.Errorf("a program of nobody: %d %q", code, text)
	}
}

// Of many users few are held open; who is inside is not disturbed.
func TestUserFilesAreBounded(t *testing.T) {
	c := &config.UserDirs{Folder: "www"}
	var names []string
	for i := range maxUserFiles + 50 {
		names = append(names, fmt.Sprint("u", i))
	}
	dir, u := homes(t, c, names...)
	for _, name := range names {
		write(t, dir+"/"+name+"/www/x.txt", name)
	}
	before := len(descriptors(t))
	var wg sync.WaitGroup
	for part := range 4 {
		wg.Go(func() {
			for round := range 2 * len(names) {
				name := names[(round*(part+1))%len(names)]
				if code, text, _ := askDirs(u, "/~"+name+"/x.txt"); code != 200 || text != name {
					t.Errorf("%s: %d %q", name, code, text)
				}
			}
		})
	}
	wg.Wait()
	u.files.mu.Lock()
	held := len(u.files.all)
	u.files.mu.Unlock()
	if held > maxUserFiles {
		t.Errorf("%d are held open", held)
	}
	if err := u.files.Close(); err != nil {
		t.Fatal(err)
	}
	u.b.tree.fileCache.Close()
	if after := len(descriptors(t)); after > before+4 {
		t.Errorf("%d descriptors, %d before", after, before)
	}
}

// A folder that was opened while the user let the way lead elsewhere is not
// theirs, though the way leads home again.
func TestFolderOfAnother(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/ann/www/x", "")
	write(t, dir+"/outside/x", "")
	for folder, mine := range map[string]bool{"/ann/www": true, "/outside": false, "/ann": false} {
		info, err := os.Stat(dir + folder)
		if err != nil {
			t.Fatal(err)
		}
		if err := isInHome(&userdir.User{Name: "ann", Home: dir + "/ann"}, "www", info); (err == nil) != mine {
			t.Errorf("%s: %v", folder, err)
		}
	}
}
