package install

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

func spec() *Spec {
	return &Spec{
		Name: "my-site", Binary: "/bin/true", Target: "/srv/my site/millrace.toml", Folder: "/srv/my site", User: "www-data",
		Listen: []string{":80", "127.0.0.1:8000", "[::1]:8000", "unix:/run/x.sock", "localhost:9", ":0"}, Low: true,
		Write: []string{"/srv/my site", "/var/log/my-site"}, StopFor: 90 * time.Second,
	}
}

// specs are what units are made of.
func specs() map[string]*Spec {
	root, plain, home, percent := spec(), spec(), spec(), spec()
	root.User, root.Switch = "", true
	plain.Low, plain.Listen, plain.Control = false, nil, "/srv/my site/run/c.sock"
	home.Folder, home.Target, home.Write = "/home/me/site", "/home/me/site", []string{"/home/me/site"}
	percent.Folder, percent.Target, percent.Write = "/srv/50% off", "/srv/50% off/%H.toml", []string{"/srv/50% off"}
	return map[string]*Spec{"a specifier that is none": percent, "user": spec(), "apps of other users": root, "no sockets": plain, "at home": home}
}

// analyze is systemd-analyze. Where scripts/setup.sh has installed it a missing
// one is a failure.
func analyze(t *testing.T, args ...string) (string, error) {
	t.Helper()
	path, err := exec.LookPath("systemd-analyze")
	if err != nil {
		if _, err := os.Stat("../../.cache/peers.stamp"); err == nil {
			t.Fatal("systemd-analyze is not installed: run scripts/setup.sh")
		}
		t.Skip("systemd-analyze is not installed")
	}
	out, err := exec.Command(path, args...).CombinedOutput()
	return string(out), err
}

// TestUnit: the units pass systemd-analyze verify without a word, and what they
// are exposed to is "OK", which is below 5 of 10.
func TestUnit(t *testing.T) {
	exposure := regexp.MustCompile(`Overall exposure level for my-site.service: ([0-9.]+) ([A-Z]+)`)
	for name, s := range specs() {
		t.Run(name, func(t *testing.T) {
			i, err := Make(Systemd, s)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			args := []string{"verify"}
			for _, f := range i.Files {
				path := filepath.Join(dir, filepath.Base(f.Path))
				if err := os.WriteFile(path, []byte(f.Content), 0o644); err != nil {
					t.Fatal(err)
				}
				args = append(args, path)
			}
			if strings.Contains(strings.ReplaceAll(i.Files[0].Content, "%%", ""), "%") {
				t.Errorf("there are specifiers in\n%s", i.Files[0].Content)
			}
			if out, err := analyze(t, args...); err != nil || strings.Contains(out, "my-site") {
				t.Errorf("verify: %v\n%s", err, out)
			}
			out, err := analyze(t, "security", "--offline=true", "--threshold=50", filepath.Join(dir, "my-site.service"))
			found := exposure.FindStringSubmatch(out)
			if err != nil || found == nil || found[2] != "OK" {
				t.Errorf("security: %v\n%s", err, out)
			}
			t.Logf("%s: exposure %s", name, found)
		})
	}
}

// TestSocketUnit: systemd opens the TCP addresses; the others are millrace's.
func TestSocketUnit(t *testing.T) {
	i, err := Make(Systemd, spec())
	if err != nil {
		t.Fatal(err)
	}
	var streams []string
	for _, line := range strings.Split(i.Files[1].Content, "\n") {
		if address, ok := strings.CutPrefix(line, "ListenStream="); ok {
			streams = append(streams, address)
		}
	}
	if got := strings.Join(streams, " "); got != "80 127.0.0.1:8000 [::1]:8000" {
		t.Errorf("systemd opens %s", got)
	}
}

// TestScripts: sh reads what is made for it, and passes the words on.
func TestScripts(t *testing.T) {
	s := spec()
	s.Scan = "/etc/service"
	for _, kind := range []Kind{RC, Run} {
		i, err := Make(kind, s)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range i.Files {
			if f.Link != "" {
				continue
			}
			cmd := exec.Command("sh", "-n")
			cmd.Stdin = strings.NewReader(f.Content)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%s: %v: %s\n%s", f.Path, err, out, f.Content)
			}
		}
	}
	want := []string{"/a b", "c;d", "e", "f=g", "h*", "#i"}
	out, err := exec.Command("sh", "-c", "printf '%s\\n' "+words(append([]string(nil), want...)...)).Output()
	if err != nil || string(out) != strings.Join(want, "\n")+"\n" {
		t.Errorf("%q, %v", out, err)
	}
}

// TestStartScript: the script of rc.d starts what it is to start, as rc.subr does
// it, whatever is in the paths; one whose name begins with a digit, too.
func TestStartScript(t *testing.T) {
	for _, name := range []string{"my-site", "1.site"} {
		s := spec()
		s.Name, s.Folder, s.Target = name, t.TempDir(), "/srv/a;b c/50%/millrace.toml"
		i, err := Make(RC, s)
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		subr := filepath.Join(dir, "rc.subr")
		// What of the system's a script goes through.
		text := `load_rc_config() { :; }
run_rc_command() {
	case "$1" in
	start) eval "$start_precmd"; command=show; eval "$command $command_args" ;;
	reload) eval "$reload_cmd" ;;
	esac
}
install() { :; }
show() { pwd; printf '%s\n' "$@"; }
`
		if err := os.WriteFile(subr, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		script := strings.Replace(i.Files[0].Content, "/etc/rc.subr", subr, 1)
		script = strings.Replace(script, `reload_cmd="/bin/true`, `reload_cmd="show /bin/true`, 1)
		for command, want := range map[string]string{
			"start": s.Folder + "\n-r\n-R\n1\n-S\n-T\n" + name + "\n-u\nwww-data\n-P\n/var/run/" + name + ".pid\n" +
				"/bin/true\nserve\n/srv/a;b c/50%/millrace.toml\n--control\n/var/run/" + name + "/control.sock\n",
			"reload": "/bin/true\nreload\n--control\n/var/run/" + name + "/control.sock\n",
		} {
			cmd := exec.Command("sh", "-s", command)
			cmd.Stdin = strings.NewReader(script)
			out, err := cmd.CombinedOutput()
			got := string(out)
			if command == "reload" {
				_, got, _ = strings.Cut(got, "\n") // the folder
			}
			if err != nil || got != want {
				t.Errorf("%s %s: %v\n%s\nwant\n%s", name, command, err, got, want)
			}
		}
	}
}

func TestPropertyList(t *testing.T) {
	i, err := Make(Launchd, spec())
	if err != nil {
		t.Fatal(err)
	}
	d := xml.NewDecoder(strings.NewReader(i.Files[0].Content))
	keys := 0
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "key" {
			keys++
		}
	}
	if keys != 11 || !strings.Contains(i.Files[0].Content, "<string>/srv/my site/millrace.toml</string>") {
		t.Errorf("%d keys\n%s", keys, i.Files[0].Content)
	}
}

func TestRefused(t *testing.T) {
	for name, change := range map[string]func(*Spec){
		"no name":          func(s *Spec) { s.Name = "" },
		"a path as a name": func(s *Spec) { s.Name = "../x" },
		"a quote":          func(s *Spec) { s.Target = `/srv/"x` },
		"a line feed":      func(s *Spec) { s.Folder = "/srv/x\nUser=root" },
		"a variable":       func(s *Spec) { s.Write = []string{"/srv/$x"} },
		"a user":           func(s *Spec) { s.User = "x\ny" },
		"no absolute path": func(s *Spec) { s.Binary = "millrace" },
	} {
		s := spec()
		change(s)
		for _, kind := range Kinds() {
			if i, err := Make(kind, s); err == nil {
				t.Errorf("%s: %+v", name, i)
			}
		}
	}
}

// tree is what is below a folder.
func tree(t *testing.T, root string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		content := ""
		if info.Mode().IsRegular() {
			c, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			content = string(c)
		}
		name, _ := filepath.Rel(root, path)
		fmt.Fprintf(&b, "%s %v %s\n", name, info.Mode(), content)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// system is one below a folder, whose commands are noted.
func system(t *testing.T) (*System, *[]string) {
	t.Helper()
	var ran []string
	s := &System{Root: t.TempDir(), Run: func(args []string) error { ran = append(ran, strings.Join(args, " ")); return nil }}
	for _, dir := range []string{"etc/service", "var/lib"} {
		if err := os.MkdirAll(s.at(dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return s, &ran
}

// TestUninstall takes back exactly what was installed, of each kind.
func TestUninstall(t *testing.T) {
	for _, kind := range Kinds() {
		t.Run(string(kind), func(t *testing.T) {
			s, ran := system(t)
			before := tree(t, s.Root)
			of := spec()
			of.Scan = "/etc/service"
			i, err := Make(kind, of)
			if err != nil {
				t.Fatal(err)
			}
			made := ""
			for range 2 { // the second time it is replaced, with what it has made itself
				if err := s.Install(i, io.Discard); err != nil {
					t.Fatal(err)
				}
				made = filepath.Join(filepath.Dir(s.at(i.Files[0].Path)), "supervise")
				_ = os.Mkdir(made, 0o700)
			}
			if err := os.Remove(made); err != nil {
				t.Fatal(err)
			}
			for _, f := range i.Files {
				info, err := os.Lstat(s.at(f.Path))
				if err != nil || f.Link == "" && info.Mode() != f.Mode {
					t.Errorf("%s: %v, %v", f.Path, info, err)
				}
			}
			installed := len(*ran)
			var out bytes.Buffer
			if err := s.Uninstall(i.Name, &out); err != nil {
				t.Fatal(err)
			}
			if after := tree(t, s.Root); after != before {
				t.Errorf("before:\n%s\nafter:\n%s", before, after)
			}
			if strings.Count(out.String(), "removed ") != len(i.Files) || len(*ran) == installed {
				t.Errorf("said %s, ran %q", &out, *ran)
			}
			var none *Error
			if err := s.Uninstall(i.Name, &out); !errors.As(err, &none) {
				t.Errorf("again: %v", err)
			}
		})
	}
}

// TestUninstallChanged: what was changed by hand is left, and said.
func TestUninstallChanged(t *testing.T) {
	for name, change := range map[string]func(path string) error{
		"content":     func(path string) error { return os.WriteFile(path, []byte("mine"), 0o755) },
		"a mode":      func(path string) error { return os.Chmod(path, 0o700) },
		"a link":      func(path string) error { return errors.Join(os.Remove(path), os.Symlink("/etc/passwd", path)) },
		"a folder":    func(path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o755)) },
		"a neighbour": func(path string) error { return os.WriteFile(path+"2", nil, 0o600) },
	} {
		s, _ := system(t)
		i, err := Make(Run, spec())
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Install(i, io.Discard); err != nil {
			t.Fatal(err)
		}
		if err := change(s.at("/etc/sv/my-site/run")); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := s.Uninstall("my-site", &out); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		want := "left, since it was changed: /etc/sv/my-site/run\n"
		if name == "a neighbour" {
			want = "left, since there is more in it: /etc/sv/my-site\n"
		} else if _, err := os.Lstat(s.at("/etc/sv/my-site/run")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !strings.Contains(out.String(), want) || !strings.Contains(out.String(), "removed /etc/sv/my-site/log/run\n") {
			t.Errorf("%s: %s", name, &out)
		}
	}
}

// TestWriteNew: what appears in a file's place while it is installed is not
// written over, nor what it leads to.
func TestWriteNew(t *testing.T) {
	dir := t.TempDir()
	for name, target := range map[string]string{"dangling": dir + "/nowhere", "link": dir + "/file"} {
		if err := os.WriteFile(dir+"/file", []byte("theirs"), 0o600); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name)
		if err := os.Symlink(target, path); err != nil {
			t.Fatal(err)
		}
		if err := writeNew(path, File{Content: "x", Mode: 0o755}); !errors.Is(err, fs.ErrExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := os.Lstat(dir + "/nowhere")
	if text, _ := os.ReadFile(dir + "/file"); string(text) != "theirs" || err == nil {
		t.Errorf("%q, %v", text, err)
	}
	path := dir + "/new"
	err = writeNew(path, File{Content: "x", Mode: 0o751})
	info, failed := os.Stat(path)
	if err != nil || failed != nil || info.Mode() != 0o751 || info.Size() != 1 {
		t.Errorf("%v, %v, %v", err, failed, info)
	}
}

// TestInstallInTheWay: a file that was not installed, or was changed since, is
// not written over; a command that fails is said.
func TestInstallInTheWay(t *testing.T) {
	s, _ := system(t)
	i, err := Make(Systemd, spec())
	if err != nil {
		t.Fatal(err)
	}
	unit := s.at(i.Files[0].Path)
	if err := os.MkdirAll(filepath.Dir(unit), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(unit, []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	before := tree(t, s.Root)
	if err := s.Install(i, io.Discard); err == nil || !strings.Contains(err.Error(), "was not installed by millrace") || tree(t, s.Root) != before {
		t.Errorf("%v", err)
	}
	if err := os.Remove(unit); err != nil {
		t.Fatal(err)
	}
	if err := s.Install(i, io.Discard); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(unit, []byte("changed"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := s.Install(i, io.Discard); err == nil || !strings.Contains(err.Error(), "was changed since") {
		t.Errorf("%v", err)
	}
	s, _ = system(t)
	s.Run = nil
	missing := *i
	missing.Enable = []Command{{Args: []string{"no-such-program-of-a-supervisor"}}}
	var out bytes.Buffer
	if err := s.Install(&missing, &out); err == nil || !strings.Contains(err.Error(), "is not here") || !strings.Contains(out.String(), "uninstall") {
		t.Errorf("%v, %s", err, &out)
	}
}

// FuzzManifest: what is read as a manifest is one: all that it names is a place.
func FuzzManifest(f *testing.F) {
	f.Add([]byte(`{"name":"x","kind":"run","files":[{"path":"/a","sha256":"00"},{"path":"/b","link":"c"}],"folders":["/etc"],"disable":[{"args":["a"]}]}`))
	f.Add([]byte(`{"name":"x","files":[{"path":"/../b"}]}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, ok := parseManifest(text, "x")
		if !ok {
			return
		}
		for _, p := range m.Files {
			if !filepath.IsAbs(p.Path) || strings.Contains(p.Path+"/", "/../") || p.Path == "/" {
				t.Errorf("it names %q", p.Path)
			}
		}
		again, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := parseManifest(again, "x"); !ok {
			t.Errorf("%s became %s", text, again)
		}
	})
}
