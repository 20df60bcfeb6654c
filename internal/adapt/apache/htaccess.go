package apache

// The .htaccess files of the folders that are served.

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

const maxFolders = 20000 // names of folders that are looked through

// htaccesses reads the .htaccess files of the folders that are served, where
// AllowOverride lets them be.
func (l *lowering) htaccesses(s *site) {
	if l.read.htaccess {
		return
	}
	var roots []string
	var of []*directive
	add := func(folder string, d *directive) {
		roots, of = append(roots, path.Clean(folder)), append(of, d)
	}
	if s.root != "" {
		add(s.root, s.last("documentroot"))
	}
	for _, d := range s.all("alias", "scriptalias", "wsgiscriptalias", "aliasmatch", "scriptaliasmatch") {
		if len(d.args) < 2 {
			continue
		}
		folder := d.arg(1)
		if i := strings.IndexByte(folder, '$'); i >= 0 {
			folder = folder[:i]
			folder = folder[:strings.LastIndexByte(folder, '/')+1]
		}
		if folder = l.path(folder); !isFolder(folder) {
			folder = path.Dir(folder)
		}
		add(folder, d)
	}
	seen := map[string]bool{}
	budget := maxFolders
	for i, root := range roots {
		if root == "/" {
			continue
		}
		folders, whole := l.foldersBelow(root, &budget)
		heard := false
		for _, folder := range append(above(root), folders...) {
			if !seen[folder] {
				seen[folder] = true
				l.htaccess(s, folder)
			}
			heard = heard || l.overridesIn(s, folder).any()
		}
		if !whole && heard {
			l.refuse(of[i], fmt.Sprintf("there are more folders below %s than are looked through for .htaccess files", root), "write AllowOverride None for it, or for those of its folders that have none")
			return
		}
	}
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// above are the folders that one is in, without the root.
func above(folder string) []string {
	var all []string
	for dir := path.Dir(folder); dir != "/" && dir != "."; dir = path.Dir(dir) {
		all = append([]string{dir}, all...)
	}
	return all
}

// foldersBelow are a folder and those in it, those that symbolic links lead to as
// well; false: there are more than the budget has.
func (l *lowering) foldersBelow(root string, budget *int) ([]string, bool) {
	var all []string
	var walk func(folder string, links int) bool
	walk = func(folder string, links int) bool {
		entries, err := os.ReadDir(folder)
		if err != nil {
			return true
		}
		all = append(all, folder)
		for _, e := range entries {
			if *budget--; *budget <= 0 {
				return false
			}
			name := filepath.Join(folder, e.Name())
			if strings.HasPrefix(e.Name(), ".") {
				continue
			}
			n := links
			switch link := e.Type()&fs.ModeSymlink != 0; {
			case link && isFolder(name):
				if n++; n > 8 { // it leads around
					return false
				}
			case !e.IsDir():
				continue
			}
			if !walk(name, n) {
				return false
			}
		}
		return true
	}
	whole := walk(root, 0)
	return all, whole
}

// overriding is what a .htaccess may say.
type overriding struct {
	classes []string // of AllowOverride, lower case
	names   []string // of AllowOverrideList, lower case
}

func overrides(c *conf) overriding {
	var o overriding
	words := func(d *directive) []string {
		var all []string
		if d != nil {
			for _, w := range d.texts() {
				if !strings.EqualFold(w, "none") {
					all = append(all, strings.ToLower(w))
				}
			}
		}
		return all
	}
	o.classes, o.names = words(c.override), words(c.get("allowoverridelist"))
	return o
}

func (o overriding) any() bool { return len(o.classes)+len(o.names) > 0 }

// classOf is the class of AllowOverride that a directive is of.
func classOf(name string) string {
	switch {
	case strings.HasPrefix(name, "auth"), isRequire(&directive{name: name}), name == "satisfy", name == "sslrequire", name == "sslrequiressl", name == "sslverifyclient":
		return "authconfig"
	case name == "allow", name == "deny", name == "order":
		return "limit"
	case name == "options", name == "xbithack", strings.HasPrefix(name, "php_"), name == "ssloptions", name == "contentdigest":
		return "options"
	case strings.HasPrefix(name, "index"), strings.HasPrefix(name, "expires"), strings.HasPrefix(name, "addicon"), strings.HasPrefix(name, "addalt"),
		slices.Contains([]string{"directoryindex", "directoryslash", "fallbackresource", "defaulticon", "headername", "readmename", "adddescription"}, name):
		return "indexes"
	case name == "files", name == "filesmatch", isLimit(&directive{name: name}):
		return ""
	}
	return "fileinfo"
}

// lets reports whether a .htaccess may say a directive.
func (o overriding) lets(name string) bool {
	class := classOf(name)
	return class == "" || slices.Contains(o.classes, "all") || slices.Contains(o.classes, class) || slices.Contains(o.names, name)
}

// overridesIn is what a .htaccess in a folder may say.
func (l *lowering) overridesIn(s *site, folder string) overriding {
	m := &mapping{kind: isFiles, folder: folder, prefix: "/"}
	c := s.base
	for _, of := range l.folders(area{m: m, folder: folder, prefix: "/"}, none) {
		c = c.with(of.list, scope{folder: of.pattern})
	}
	return overrides(c)
}

// htaccess is the file of one folder, as a section behind those of the folder.
func (l *lowering) htaccess(s *site, folder string) {
	file := filepath.Join(folder, ".htaccess")
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		return
	}
	o := l.overridesIn(s, folder)
	if !o.any() {
		return
	}
	d := &directive{name: "directory", shown: "Directory", known: directives["directory"], args: []arg{{text: folder}}}
	d.place.File, d.place.Line, d.place.Column = file, 1, 1
	if isGlob(folder) {
		l.refuse(d, "a .htaccess in a folder whose name has a *, ? or [", "rename the folder, or write AllowOverride None for it")
		return
	}
	was := l.read.htaccess
	l.read.htaccess = true
	l.read.file(file, d.place, &d.within, nil)
	l.read.htaccess = was
	l.letIn(o, d.within)
	d.within = byExtension(d.within)
	l.nothing(s.table, d.within)
	s.sections = append(s.sections, section{d: d, kind: "directory", pattern: path.Clean(folder), list: d.within})
}

// letIn refuses what AllowOverride does not let a .htaccess say: Apache answers
// with 500 in such a folder.
func (l *lowering) letIn(o overriding, list []*directive) {
	for _, d := range list {
		if d.known != nil && !o.lets(d.name) {
			l.refuse(d, d.known.name+" not allowed here", "AllowOverride does not let it be: take it out, or let it be said")
		}
		l.letIn(o, d.within)
	}
}
