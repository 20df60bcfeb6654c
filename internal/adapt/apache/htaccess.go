package apache

// The .htaccess files of the folders that are served.

import (
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// htaccesses reads the .htaccess files of the folders that are served, where
// AllowOverride lets them be.
func (l *lowering) htaccesses(s *site) {
	if s.root == "" || l.read.htaccess {
		return
	}
	roots := []string{s.root}
	for _, d := range s.all("alias") {
		if len(d.args) == 2 {
			roots = append(roots, strings.TrimRight(l.path(d.arg(1)), "/"))
		}
	}
	seen := map[string]bool{}
	budget := 5000
	for _, root := range roots {
		for _, folder := range l.foldersBelow(root, 0, &budget) {
			if seen[folder] {
				continue
			}
			seen[folder] = true
			l.htaccess(s, folder)
		}
	}
	if budget <= 0 {
		s.table.Comment("there are more folders than are looked through for .htaccess files")
	}
}

func (l *lowering) foldersBelow(folder string, depth int, budget *int) []string {
	entries, err := os.ReadDir(folder)
	if err != nil || depth > 8 || *budget <= 0 {
		return nil
	}
	all := []string{folder}
	for _, e := range entries {
		*budget--
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
			all = append(all, l.foldersBelow(filepath.Join(folder, e.Name()), depth+1, budget)...)
		}
	}
	return all
}

// htaccess is the file of one folder, as a section behind those of the folder.
func (l *lowering) htaccess(s *site, folder string) {
	file := filepath.Join(folder, ".htaccess")
	if _, err := os.Stat(file); err != nil {
		return
	}
	m := &mapping{kind: isFiles, folder: folder, prefix: "/"}
	c := s.base
	for _, of := range l.folders(area{m: m, folder: folder, prefix: "/"}) {
		c = c.with(of.list, scope{folder: of.pattern})
	}
	if c.override == nil || slices.ContainsFunc(c.override.texts(), func(t string) bool { return strings.EqualFold(t, "none") }) {
		return
	}
	d := &directive{name: "directory", shown: "Directory", known: directives["directory"], args: []arg{{text: folder}}}
	d.place.File, d.place.Line, d.place.Column = file, 1, 1
	was := l.read.htaccess
	l.read.htaccess = true
	l.read.file(file, d.place, &d.within, nil)
	l.read.htaccess = was
	d.within = byExtension(d.within)
	s.sections = append(s.sections, section{d: d, kind: "directory", pattern: path.Clean(folder), list: d.within})
}
