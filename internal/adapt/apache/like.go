package apache

// Folders that are another for each host or user: VirtualDocumentRoot, UserDir.

import (
	"bytes"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// like is what is known of such folders.
type like struct {
	fixed   string   // what the paths of all begin with, up to a slash
	samples []string // paths of some
	done    bool
	all     []*section // that are for each of them
	exprs   []*section // the same, those with an expression
}

// likeOfUsers is the folders of UserDir: those that there are, and one in /home.
func likeOfUsers(folder string) *like {
	k := &like{fixed: "/home/", samples: []string{"/home/someone/" + folder}}
	users, _ := os.ReadFile("/etc/passwd") // there are others without it
	for line := range bytes.Lines(users) {
		if fields := strings.Split(string(line), ":"); len(fields) > 5 && fields[0] != "root" && path.IsAbs(fields[5]) {
			home := path.Join(fields[5], folder)
			if info, err := os.Stat(home); err == nil && info.IsDir() {
				k.samples = append(k.samples, home)
			}
		}
	}
	return k
}

// likeOfHosts is the folders of VirtualDocumentRoot.
func likeOfHosts(text string) *like {
	k := &like{}
	i := strings.IndexByte(text, '%')
	if i < 0 {
		i = len(text)
	}
	k.fixed = text[:strings.LastIndexByte(text[:i], '/')+1]
	sample := text
	for strings.Contains(sample, "%") {
		at := strings.IndexByte(sample, '%')
		end := at + 1
		for end < len(sample) && strings.IndexByte("0123456789.+-p%", sample[end]) >= 0 {
			end++
		}
		sample = sample[:at] + "some.example" + sample[end:]
	}
	k.samples = []string{path.Clean(sample)}
	return k
}

// likeSections are the <Directory> sections that are for each folder. One that may
// be for some of them is refused.
func (l *lowering) likeSections(m *mapping) (all, exprs []*section) {
	k := m.like
	if k.done {
		return k.all, k.exprs
	}
	k.done = true
	for i := range l.site.sections {
		s := &l.site.sections[i]
		if s.kind != "directory" {
			continue
		}
		n := 0
		for _, folder := range k.samples {
			if !s.regexp && !isGlob(s.pattern) && inFolder(folder, s.pattern) || (s.regexp || isGlob(s.pattern)) && l.wholeOf(s, folder) {
				n++
			}
		}
		switch {
		case n == len(k.samples) && s.regexp:
			k.exprs = append(k.exprs, s)
		case n == len(k.samples):
			k.all = append(k.all, s)
		case relevant(s.list) && (n > 0 || k.mayHold(s)):
			l.once(s.d, "<"+s.d.known.name+" "+s.d.arg(len(s.d.args)-1)+"> may be for some of the folders of "+m.d.known.name+", which are not known when millrace starts", "write what holds in all of them, or a site and an Alias for each")
		}
	}
	l.likeHtaccess(m)
	return k.all, k.exprs
}

// mayHold reports whether a section that is not for the samples may be for other
// folders, or below them.
func (k *like) mayHold(s *section) bool {
	fixed := s.pattern
	switch {
	case s.regexp:
		if strings.HasPrefix(strings.TrimLeft(s.pattern, "(^"), `/\.`) {
			return false // names that begin with a dot are not served
		}
		if fixed = ""; strings.HasPrefix(s.pattern, "^") {
			fixed, _ = fixedStart(s.pattern)
		}
	case isGlob(s.pattern):
		fixed = s.pattern[:strings.IndexAny(s.pattern, "*?[")]
	default:
		fixed += "/"
	}
	return strings.HasPrefix(fixed, k.fixed) || strings.HasPrefix(k.fixed, fixed) && (s.regexp || isGlob(s.pattern))
}

// likeHtaccess refuses .htaccess files of such folders, as far as there are some
// where they would be heard.
func (l *lowering) likeHtaccess(m *mapping) {
	c := l.site.base
	for _, s := range append(m.like.all, m.like.exprs...) {
		c = c.with(s.list, scope{folder: s.pattern})
	}
	if !overrides(c).any() {
		return
	}
	roots := m.like.samples
	if m.kind == isVirtual {
		roots = []string{strings.TrimRight(m.like.fixed, "/")}
	}
	budget := maxFolders
	for _, root := range roots {
		folders, whole := l.foldersBelow(root, &budget)
		for _, folder := range folders {
			if _, err := os.Stat(filepath.Join(folder, ".htaccess")); err == nil {
				l.refuse(m.d, "AllowOverride has "+filepath.Join(folder, ".htaccess")+" heard, which is of one of the folders of "+m.d.known.name, "write AllowOverride None for these folders, and their rules into <Directory>")
				return
			}
		}
		if !whole {
			l.refuse(m.d, "there are more folders below "+root+" than are looked through for .htaccess files", "write AllowOverride None for these folders")
			return
		}
	}
}
