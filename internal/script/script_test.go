package script

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"millrace/internal/docroot"
)

// tree makes a root: names that end in "/" are folders.
func tree(t testing.TB, names ...string) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(dir, "root")
	for _, name := range append([]string{"./"}, names...) {
		path := filepath.Join(root, name)
		folder := path
		if !strings.HasSuffix(name, "/") {
			folder = filepath.Dir(path)
		}
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(name, "/") {
			if err := os.WriteFile(path, nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	return root
}

var names = []string{
	"index.php", "info.php", "UPPER.PHP", "picture.jpg", "old.php.bak", "a b.php", "straße.php", "q?.php",
	"blog/index.php", "blog/post.php", "plain/x.txt", "plain/index.html", "deep/er/x.php",
	"folder.php/index.php", "folder.php/inner.php", "folder.php/page.txt",
	"uploads/evil.php", "uploads/index.php", "uploads/cat.jpg", "Uploads2/fine.php",
	".hidden.php", ".git/x.php", ".well-known/acme.php", ".php", "x.php5", "ſ.phſ",
}

func TestFind(t *testing.T) {
	root := tree(t, names...)
	base := Options{Root: root, Extensions: []string{".php", ".php5"}, Index: "index.php", Exclude: []string{"/uploads/"}}
	front := base
	front.Front = "index.php"
	bare := Options{Root: root, Extensions: []string{".php"}}
	for _, c := range []struct {
		o          Options
		path       string
		kind       Kind
		name, info string
	}{
		{base, "/info.php", Run, "/info.php", ""},
		{base, "/info.php/", Run, "/info.php", "/"},
		{base, "/info.php/a/b", Run, "/info.php", "/a/b"},
		{base, "/info.php//a//b", Run, "/info.php", "//a//b"},
		{base, "//info.php/a", Run, "/info.php", "/a"},
		{base, "/blog//post.php", Run, "/blog/post.php", ""},
		{base, "/deep/er/x.php/y.php", Run, "/deep/er/x.php", "/y.php"},
		{base, "/a b.php/c d", Run, "/a b.php", "/c d"},
		{base, "/straße.php/ü", Run, "/straße.php", "/ü"},
		{base, "/q?.php", Run, "/q?.php", ""},
		{base, "/x.php5", Run, "/x.php5", ""},
		{base, "/.well-known/acme.php", Run, "/.well-known/acme.php", ""},

		// Letters in either case; the file by its very name.
		{base, "/UPPER.PHP/x", Run, "/UPPER.PHP", "/x"},
		{base, "/upper.php", Missing, "", ""},

		// CVE-2026-27590: lower case may be longer or shorter than what was sent.
		{base, "/ȺȺȺȺ.php.txt.php", Missing, "", ""},
		{base, "/İİİİ.txt/x.php", Missing, "", ""},
		{base, "/K/info.php", Missing, "", ""},
		{base, "/ſ.phſ", Pass, "", ""},
		{base, "/info.PhP\xff", Pass, "", ""},
		{base, "/\xff\xfe.php", Missing, "", ""},

		// cgi.fix_pathinfo's hole.
		{base, "/picture.jpg/x.php", Missing, "", ""},
		{base, "/picture.jpg/.php", Missing, "", ""},
		{base, "/plain/x.txt/y.php/z", Missing, "", ""},
		{base, "/uploads/cat.jpg/x.php", Missing, "", ""},
		{front, "/picture.jpg/x.php", Run, "/index.php", ""},

		// An extension counts at a segment's end alone.
		{base, "/old.php.bak", Pass, "", ""},
		{base, "/info.phpx", Pass, "", ""},
		{base, "/infophp", Pass, "", ""},
		{base, "/.php", Missing, "", ""},
		{base, "/nothing.php", Missing, "", ""},
		{base, "/nothing.php/info.php", Missing, "", ""},

		// Folders.
		{base, "/", Run, "/index.php", ""},
		{base, "/blog/", Run, "/blog/index.php", ""},
		{base, "/blog//", Run, "/blog/index.php", ""},
		{base, "/blog", Redirect, "", ""},
		{base, "/plain/", Pass, "", ""},
		{base, "/plain", Pass, "", ""},
		{base, "/none/", Pass, "", ""},
		{base, "/folder.php", Redirect, "", ""},
		{base, "/folder.php/", Run, "/folder.php/index.php", ""},
		{base, "/folder.php/inner.php/x", Run, "/folder.php/inner.php", "/x"},
		{base, "/folder.php/page.txt", Pass, "", ""},
		{bare, "/blog/", Pass, "", ""},
		{bare, "/blog", Pass, "", ""},
		{base, "/info.php/blog/", Run, "/info.php", "/blog/"},

		// Where people upload.
		{base, "/uploads/evil.php", Missing, "", ""},
		{base, "/UPLOADS/evil.php", Missing, "", ""},
		{base, "//uploads//evil.php", Missing, "", ""},
		{base, "/uploads/evil.php/x", Missing, "", ""},
		{base, "/uploads/", Pass, "", ""},
		{base, "/uploads", Pass, "", ""},
		{base, "/uploads/cat.jpg", Pass, "", ""},
		{base, "/Uploads2/fine.php", Run, "/Uploads2/fine.php", ""},
		{front, "/uploads/evil.php", Missing, "", ""},
		{front, "/uploads/none.php", Missing, "", ""},

		// The front controller.
		{front, "/2026/11/a-post/", Run, "/index.php", ""},
		{front, "/2026/11/a-post", Run, "/index.php", ""},
		{front, "/nothing.php", Run, "/index.php", ""},
		{front, "/plain/x.txt", Pass, "", ""},
		{front, "/plain/", Pass, "", ""},
		{front, "/plain", Pass, "", ""},
		{front, "/blog", Redirect, "", ""},
		{front, "/.well-known/webfinger", Run, "/index.php", ""},
		{front, "/.env", Run, "/index.php", ""},
		{front, "/uploads/none.jpg", Run, "/index.php", ""},

		// What is never shown, and what nobody sends.
		{base, "/.hidden.php", Missing, "", ""},
		{base, "/.git/x.php", Missing, "", ""},
		{base, `/blog\post.php`, Missing, "", ""},
		{base, `/info.php/a\b`, Run, "/info.php", `/a\b`},
		{base, "/info.php/\n", Bad, "", ""},
		{base, "/info.php\n/x.php", Bad, "", ""},
		{base, "/info\x00.php", Bad, "", ""},
		{base, "/info.php/\x7f", Bad, "", ""},
		{base, "/blog/../info.php", Bad, "", ""},
		{base, "/./info.php", Bad, "", ""},
		{base, "/info.php/..", Bad, "", ""},
		{base, "/info.php/../../../etc/passwd", Bad, "", ""},
		{base, "info.php", Bad, "", ""},
		{base, "", Bad, "", ""},
		{base, "/" + strings.Repeat("x", 300) + ".php", Missing, "", ""},
		{base, strings.Repeat("/x.php", 2000), Missing, "", ""},
	} {
		got, err := New(c.o).Find(c.path)
		if err != nil || got.Kind != c.kind || got.Name != c.name || got.Info != c.info {
			t.Errorf("%q (front %q): %+v, %v; want kind %d %q %q", c.path, c.o.Front, got, err, c.kind, c.name, c.info)
			continue
		}
		if c.kind != Run {
			continue
		}
		translated := ""
		if c.info != "" {
			translated = root + c.info
		}
		if got.Root != root || got.Filename != root+c.name || got.Translated != translated {
			t.Errorf("%q: %+v", c.path, got)
		}
	}
}

func TestRoots(t *testing.T) {
	root := tree(t, "a.php")
	for _, seen := range []string{"/var/www/html", "/var/www/html/", "/"} {
		got, err := New(Options{Root: root, Extensions: []string{".php"}, Seen: seen}).Find("/a.php/b")
		want := strings.TrimSuffix(seen, "/")
		if err != nil || got.Root != seen || got.Filename != want+"/a.php" || got.Translated != want+"/b" {
			t.Errorf("%s: %+v, %v", seen, got, err)
		}
	}
}

// TestDeploy: the root is a link, and the files are those that it leads to now,
// or led to a moment ago.
func TestDeploy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root, next := tree(t, "a.php"), tree(t, "b.php")
		link := filepath.Join(filepath.Dir(root), "current")
		f := New(Options{Root: link, Extensions: []string{".php"}})
		if _, err := f.Find("/a.php"); err == nil {
			t.Error("a root that is missing is no error")
		}
		for _, to := range []string{root, next} {
			_ = os.Remove(link)
			if err := os.Symlink(to, link); err != nil {
				t.Skip(err)
			}
			time.Sleep(believed)
			for range 2 {
				for _, name := range []string{"/a.php", "/b.php"} {
					got, err := f.Find(name)
					if _, there := os.Stat(filepath.Join(to, name)); err != nil || (got.Kind == Run) != (there == nil) || got.Kind == Run && got.Filename != to+name {
						t.Errorf("%s under %s: %+v, %v", name, to, got, err)
					}
				}
			}
		}
	})
}

// TestMemory: what is remembered, for how long, and how much of it.
func TestMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root := tree(t, "a.php", "b.php", "index.php", "folder/index.php")
		f := New(Options{Root: root, Extensions: []string{".php"}, Index: "index.php", Front: "index.php"})
		known := func() int { return len(f.seen.seen) }
		for _, path := range []string{"/a.php/info", "/none.php", "/folder/", "/folder", "/pretty", "/../a.php"} {
			if _, err := f.Find(path); err != nil || known() != 0 {
				t.Errorf("%s: %v, %d remembered", path, err, known())
			}
		}
		for _, path := range []string{"/a.php", "/b.php", "/a.php"} {
			if found, err := f.Find(path); err != nil || found.Kind != Run || found.Name != path {
				t.Errorf("%s: %+v, %v", path, found, err)
			}
		}
		if known() != 2 {
			t.Errorf("%d remembered, want 2", known())
		}
		_ = os.Remove(filepath.Join(root, "a.php"))
		if found, err := f.Find("/a.php"); err != nil || found.Name != "/a.php" {
			t.Errorf("a moment later: %+v, %v", found, err)
		}
		time.Sleep(believed)
		if found, err := f.Find("/a.php"); err != nil || found.Name == "/a.php" {
			t.Errorf("after it: %+v, %v", found, err)
		}
		for i := range maxSeen + 10 {
			f.seen.put(strconv.Itoa(i), Found{}, time.Now())
		}
		if n := known(); n > maxSeen {
			t.Errorf("%d remembered, want %d at most", n, maxSeen)
		}
		all := New(Options{Root: root, Extensions: []string{".php"}, MayRun: func(string, docroot.Info) bool { return true }})
		if _, err := all.Find("/b.php"); err != nil || len(all.seen.seen) != 0 {
			t.Errorf("what is asked each time is remembered: %v", err)
		}
	})
}

func TestSymlinks(t *testing.T) {
	root := tree(t, "a.php", "in/b.php", "../out/c.php")
	for name, to := range map[string]string{
		"rel.php": "in/b.php", "abs.php": filepath.Join(root, "a.php"), "folder": "in",
		"out.php": "../out/c.php", "absout.php": filepath.Join(root, "../out/c.php"), "outside": "../out", "loop.php": "loop.php",
	} {
		if err := os.Symlink(to, filepath.Join(root, name)); err != nil {
			t.Skip(err)
		}
	}
	for path, inside := range map[string]bool{
		"/rel.php": true, "/abs.php": true, "/folder/b.php": true,
		"/out.php": false, "/absout.php": false, "/outside/c.php": false, "/loop.php": false,
	} {
		for _, follow := range []bool{false, true} {
			got, err := New(Options{Root: root, Extensions: []string{".php"}, FollowSymlinks: follow}).Find(path)
			want := Missing
			if inside || follow && path != "/loop.php" {
				want = Run
			}
			if err != nil || got.Kind != want {
				t.Errorf("%s (follow %v): %+v, %v; want %d", path, follow, got, err, want)
			}
		}
	}
}

func TestTrouble(t *testing.T) {
	if runtime.GOOS == "windows" || os.Geteuid() == 0 {
		t.Skip("whom rights do not stop")
	}
	root := tree(t, "shut/a.php")
	if err := os.Chmod(filepath.Join(root, "shut"), 0); err != nil {
		t.Fatal(err)
	}
	defer os.Chmod(filepath.Join(root, "shut"), 0o755)
	if got, err := New(Options{Root: root, Extensions: []string{".php"}}).Find("/shut/a.php"); err == nil {
		t.Errorf("a folder that is shut: %+v", got)
	}
}

func BenchmarkFind(b *testing.B) {
	root := tree(b, names...)
	f := New(Options{Root: root, Extensions: []string{".php"}, Index: "index.php"})
	for _, path := range []string{"/info.php/x", "/deep/er/x.php", "/blog/"} {
		b.Run(path[1:], func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if got, err := f.Find(path); err != nil || got.Kind != Run {
					b.Fatal(got, err)
				}
			}
		})
	}
}

// Without extensions every file is a script, and what may not run is denied.
func TestAnyFile(t *testing.T) {
	root := tree(t, "a", "sub/b.pl", "sub/README", "sub/c/index.cgi", "up/x", "../home/site/d")
	for _, name := range []string{"a", "sub/b.pl", "sub/c/index.cgi"} {
		if err := os.Chmod(filepath.Join(root, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	f := New(Options{Root: root, Index: "index.cgi", Exclude: []string{"/up/"}, MayRun: func(name string, info docroot.Info) bool {
		return info.Exec || strings.HasSuffix(name, ".pl")
	}})
	for path, want := range map[string]Found{
		"/a": {Kind: Run, Name: "/a"}, "/a/": {Kind: Run, Name: "/a", Info: "/"}, "/a/x/y": {Kind: Run, Name: "/a", Info: "/x/y"}, "//a//x": {Kind: Run, Name: "/a", Info: "//x"},
		"/sub/b.pl/a": {Kind: Run, Name: "/sub/b.pl", Info: "/a"}, "/sub/README": {Kind: Denied}, "/sub/README/x": {Kind: Denied},
		"/sub": {}, "/sub/": {}, "/sub/c": {Kind: Redirect}, "/sub/c/": {Kind: Run, Name: "/sub/c/index.cgi"}, "/": {}, "/none": {}, "/none/a": {},
		"/up/x": {Kind: Missing}, "/up/none": {}, "/.a": {Kind: Missing}, "/sub/.x/y": {Kind: Missing}, "/a/../a": {Kind: Bad}, "/a\x00": {Kind: Bad},
	} {
		got, err := f.Find(path)
		if err != nil || got.Kind != want.Kind || got.Name != want.Name || got.Info != want.Info {
			t.Errorf("%s: %+v, %v; want %+v", path, got, err, want)
		}
	}
	// A root in somebody's home, which leads nowhere else.
	home := filepath.Join(filepath.Dir(root), "home")
	in := New(Options{Root: home, Below: "site"})
	if got, err := in.Find("/d/x"); err != nil || got.Kind != Run || got.Filename != home+"/site/d" || got.Root != home+"/site" {
		t.Errorf("below: %+v, %v", got, err)
	}
	if err := os.Rename(home+"/site", home+"/old"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(root, home+"/site"); err != nil {
		t.Skip(err)
	}
	if got, err := in.Find("/a"); err == nil {
		t.Errorf("a folder that leads out of the home: %+v", got)
	}
	if err := errors.Join(os.Remove(home+"/site"), os.Symlink("old", home+"/site")); err != nil {
		t.Fatal(err)
	}
	if got, err := in.Find("/d"); err != nil || got.Filename != home+"/old/d" {
		t.Errorf("a link within the home: %+v, %v", got, err)
	}
}
