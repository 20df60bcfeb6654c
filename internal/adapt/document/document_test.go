package document

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"millrace/internal/config"
)

func at(line int) Place { return Place{"old.conf", line, 3} }

// TestBytes: config reads a document back as it was made.
func TestBytes(t *testing.T) {
	t.Setenv("HOME", "/home/nobody")
	root := t.TempDir()
	d := New()
	d.Top().Comment("made of old.conf")
	site := d.Append("site", at(1))
	site.Set("listen", []string{"127.0.0.1:8000", ":8001"}, at(2))
	site.Set("hosts", []string{`~^a\d+\.example$`}, at(3))
	site.Set("root", root, at(3))
	files := Inline()
	files.Set("root", root, at(5))
	files.Set("listing", true, at(6))
	route := site.Append("route", at(4))
	route.Comment("the last rule wins there\nand the first here")
	route.Comment("the last rule wins there")
	route.Set("path", "/a/*", at(5))
	route.Set("files", files, at(5))
	route = site.Append("route", at(7))
	route.Set("respond", Inline(), at(8))
	const body = "a\tb\nit's \"quoted\" \\ ${HOME} $${HOME} ${1} {path}\x01é"
	respond := Inline()
	respond.Set("body", Literal(body), at(8))
	respond.Set("status", 404, at(8))
	route.Set("respond", respond, at(8)) // in the place of the other
	any1, any2 := Inline(), Inline()
	any1.Set("path", "/x", at(9))
	any2.Set("path", "/y", at(10))
	route.Set("any", []*Table{any1, any2}, at(9))
	d.Table("server", at(11)).Table("types", at(11)).Set(".xy", "text/x", at(11))
	types := site.Table("types", at(12))
	types.Set("", "text/plain", at(12))
	types.Comment("and a name")
	types.Set("READ ME", "text/y", at(12))

	c, err := d.Config("old.conf")
	if err != nil {
		t.Fatalf("%v\n%s", err, d.Bytes())
	}
	s := &c.Sites[0]
	switch {
	case len(s.Listen) != 2, s.Hosts[0] != `~^a\d+\.example$`, s.Root != root, len(s.Routes) != 2:
		t.Errorf("the site is %+v", s)
	case s.Types[""] != "text/plain", s.Types["read me"] != "text/y":
		t.Errorf("the types are %v", s.Types)
	case s.Routes[0].Path != "/a/*", s.Routes[0].Files.Listing == nil:
		t.Errorf("the first route is %+v", s.Routes[0])
	case s.Routes[1].Respond.Body != Literal(body), s.Routes[1].Respond.Status != 404, len(s.Routes[1].Any) != 2:
		t.Errorf("the second route is %+v", s.Routes[1])
	}
	text := string(d.Bytes())
	if strings.Count(text, "# the last rule wins there\n# and the first here\n") != 1 || strings.Count(text, "the last rule") != 1 {
		t.Errorf("the comments are not where they were made:\n%s", text)
	}
	if strings.Contains(text, "[server]\n") {
		t.Errorf("[server] has no keys of its own, and a header:\n%s", text)
	}
}

// TestOrigin: a problem that config finds is told by its place in the foreign file.
func TestOrigin(t *testing.T) {
	d := New()
	site := d.Append("site", at(1))
	site.Set("listen", []string{"127.0.0.1:80000"}, at(2))
	files := Inline()
	files.Set("root", t.TempDir(), at(20))
	files.Set("rooot", "x", at(21))
	route := site.Append("route", at(4))
	route.Set("files", files, at(20))
	route.Set("headers", []*Table{{at: at(30)}}, at(29))
	site.Append("route", at(40))
	_, err := d.Config("new.conf")
	var list config.Errors
	if !errors.As(err, &list) {
		t.Fatalf("it is %v", err)
	}
	var lines []int
	for _, e := range list {
		if e.File != "old.conf" || e.Column != 3 {
			t.Errorf("%v is in %s", e, e.File)
		}
		lines = append(lines, e.Line)
	}
	if want := []int{2, 21, 29, 40}; len(lines) != len(want) || lines[0] != 2 || lines[1] != 21 || lines[2] != 29 || lines[3] != 40 {
		t.Errorf("the problems are in lines %v, want %v:\n%v", lines, want, err)
	}
}

// What is wrong with one word of a foreign file is said once, however many keys
// came of it.
func TestConfigOnce(t *testing.T) {
	d := New()
	at := Place{File: "/x/site.conf", Line: 3, Column: 5}
	site := d.Append("site", at)
	for range 3 {
		files := Inline()
		files.Set("root", "/nowhere/at/all", at)
		site.Append("route", at).Set("files", files, at)
	}
	_, err := d.Config("site.conf")
	var all config.Errors
	if !errors.As(err, &all) || len(all) != 1 || all[0].Line != 3 || all[0].File != at.File {
		t.Errorf("%v", err)
	}
}

func TestLongLists(t *testing.T) {
	d := New()
	var hosts []string
	for range 9 {
		hosts = append(hosts, strings.Repeat("long", 3+len(hosts))+".example")
	}
	site := d.Append("site", at(1))
	site.Set("hosts", hosts, at(2))
	site.Set("root", t.TempDir(), at(3))
	if c, err := d.Config("x"); err != nil || len(c.Sites[0].Hosts) != 9 || !strings.Contains(string(d.Bytes()), "[\n    \"long") {
		t.Errorf("%v\n%s", err, d.Bytes())
	}
}

func TestRead(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, test := range []struct{ path, problem string }{
		{write("good", "é"), ""},
		{write("latin1", "\xe9"), "is not text in UTF-8"},
		{write("long", strings.Repeat("x", MaxFile+1)), "is larger than 4 MiB"},
		{filepath.Join(dir, "missing"), "no such file or directory"},
		{dir, "is a folder"},
		{os.DevNull, "is not a plain file"},
	} {
		_, err := Read(test.path)
		if problem := ""; err != nil && err.Error() != test.problem || err == nil && test.problem != problem {
			t.Errorf("%s: %v, want %q", test.path, err, test.problem)
		}
	}
}

func TestProblems(t *testing.T) {
	var p Problems
	if p.Err() != nil {
		t.Error("none is one")
	}
	p.Add(at(9), "last", "")
	p.Add(at(2), "first", "do it")
	p.Add(at(2), "first", "do it")
	if got := p.Err().Error(); got != "old.conf:2:3: first\n  hint: do it\nold.conf:9:3: last" {
		t.Errorf("they are\n%s", got)
	}
	for i := range 2 * maxProblems {
		p.Add(at(i+10), "another", "")
	}
	if got := p.Err().Error(); !strings.Contains(got, "and 102 problems more") {
		t.Errorf("they end with\n%s", got[len(got)-100:])
	}
}

func TestGetenv(t *testing.T) {
	o := Options{Environ: []string{"A=1", "A=2", "AB=3"}}
	if v, ok := o.Getenv("A"); v != "2" || !ok {
		t.Error(v, ok)
	}
	if _, ok := o.Getenv("HOME"); ok {
		t.Error("HOME is known")
	}
}
