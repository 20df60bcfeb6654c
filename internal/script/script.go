// Package script picks the file that a request is for where one back end runs
// many: PHP's way of one script a page.
//
// Find takes the path of a URL, decoded once, and parts it in the script's
// name and what follows it (PATH_INFO):
//
//  1. Where an extension (".php") ends, followed by "/" or by nothing, a script
//     may end: split.go. Bytes are compared, ASCII letters in either case, and
//     nothing is ever counted in one form of the text and cut in another
//     (CVE-2026-27590).
//  2. The first of these that is a regular file below the root is the script.
//     Where a folder has such a name, the next may be; where there is nothing,
//     there is no script: "/picture.jpg/x.php" never runs the picture (the hole
//     of PHP's cgi.fix_pathinfo).
//  3. A path that ends in "/" is the folder's Index, if that is there.
//  4. Where there is neither script nor file, Front answers if it is set: the
//     front controller of an app with paths of its own making.
//
// A path with a control character is refused (CVE-2019-11043); one with "." or
// ".." as a segment, too: it is of no browser. A name that begins with a dot, or
// has a backslash, is no script's, and neither is one below Exclude, where
// people upload what others must not run. Symbolic links lead out of the root
// only with FollowSymlinks.
package script

import (
	"path/filepath"
	"strings"
	"time"

	"millrace/internal/docroot"
)

// Options say which files are scripts. Root is required.
type Options struct {
	Root       string   // a folder
	Below      string   // a folder below Root that is the root in its place, which no link leads out of; "": Root itself
	Extensions []string // ".php"; none: every file is a script
	Index      string   // the script that answers for a folder: "index.php"; "": none
	Front      string   // below Root, the script that answers where nothing is: "index.php"; "": none

	// Exclude are prefixes of paths where nothing is a script: "/uploads/".
	// ASCII letters count in either case.
	Exclude []string

	FollowSymlinks bool // a link may lead out of Root

	// MayRun is asked about a script that was found; false: it is Denied. nil: all
	// may.
	MayRun func(name string, info docroot.Info) bool

	// Seen is Root as the back end has it, when that is another machine or has
	// another root folder; "": as it is here, without symbolic links.
	Seen string
}

// Kind is what came of a search.
type Kind uint8

const (
	Pass     Kind = iota // no script, and none of ours to answer: whoever comes next
	Run                  // a script
	Missing              // it would be a script, and is not there, or must not run
	Redirect             // a folder with an index, without the slash at its end
	Bad                  // a path that nobody means
	Denied               // a script that MayRun refuses
)

// Found is the result of Find.
type Found struct {
	Kind Kind
	Name string // of Run: the script's part of the path, with single slashes
	Info string // of Run: what follows it

	Filename   string // of Run: the script's file, as the back end has it
	Root       string // the root, as the back end has it
	Translated string // of Run with Info: that below the root
}

// Finder finds scripts. It is safe for concurrent use.
type Finder struct {
	o    Options
	seen memory
}

// New returns a Finder. It opens nothing.
func New(o Options) *Finder { return &Finder{o: o} }

// Find finds the script for a path, which begins with "/". An error is trouble
// with the file system. What was found is believed for a moment; see memory.go.
func (f *Finder) Find(path string) (Found, error) {
	if f.o.MayRun != nil {
		return f.look(path)
	}
	now := time.Now()
	if found, ok := f.seen.get(path, now); ok {
		return found, nil
	}
	found, err := f.look(path)
	if err == nil && found.Kind == Run && len(found.Name) == len(path) {
		f.seen.put(path, found, now)
	}
	return found, err
}

// look is Find by the file system.
func (f *Finder) look(path string) (Found, error) {
	if path == "" || path[0] != '/' || bad(path) {
		return Found{Kind: Bad}, nil
	}
	root, err := f.open()
	if err != nil {
		return Found{}, err
	}
	defer root.Close()
	s := search{f, root}
	if len(f.o.Extensions) == 0 {
		return s.any(path)
	}
	end := nextEnd(path, 0, f.o.Extensions)
	switch {
	case end > 0:
		return s.named(path, end)
	case strings.HasSuffix(path, "/"):
		return s.folder(path)
	}
	return s.other(path)
}

// open opens the root.
func (f *Finder) open() (*docroot.Folder, error) {
	root, err := docroot.Open(f.o.Root)
	if err != nil || f.o.Below == "" {
		return root, err
	}
	defer root.Close()
	return root.Beneath(f.o.Below)
}

// search is one Find.
type search struct {
	*Finder
	root *docroot.Folder
}

// named is the search for a path that has an extension, the first up to end.
func (s search) named(path string, end int) (Found, error) {
	for ; end > 0; end = nextEnd(path, end, s.o.Extensions) {
		rel, ok := docroot.Clean(path[:end])
		if !ok || s.excluded(rel) {
			return Found{Kind: Missing}, nil
		}
		info, err := s.root.Look(rel, s.o.FollowSymlinks)
		switch {
		case err != nil:
			return Found{}, err
		case info.Kind == docroot.Regular:
			return s.run(rel, path[end:], info), nil
		case info.Kind == docroot.Dir:
			continue
		}
		return s.front(Missing)
	}
	// Folders have all the names with an extension.
	if strings.HasSuffix(path, "/") {
		return s.folder(path)
	}
	return s.other(path)
}

// any is the search where every file is a script: the first on the way.
func (s search) any(path string) (Found, error) {
	for i := 1; i <= len(path); i++ {
		if i < len(path) && path[i] != '/' || path[i-1] == '/' {
			continue
		}
		rel, ok := docroot.Clean(path[:i])
		if !ok {
			return Found{Kind: Missing}, nil
		}
		info, err := s.root.Look(rel, s.o.FollowSymlinks)
		switch {
		case err != nil:
			return Found{}, err
		case info.Kind == docroot.Dir:
			continue
		case info.Kind == docroot.Regular && s.excluded(rel):
			return Found{Kind: Missing}, nil
		case info.Kind == docroot.Regular:
			return s.run(rel, path[i:], info), nil
		}
		return s.front(Pass)
	}
	if strings.HasSuffix(path, "/") {
		return s.folder(path)
	}
	return s.other(path)
}

// folder is the search for a path that ends in a slash.
func (s search) folder(path string) (Found, error) {
	rel, ok := docroot.Clean(path)
	if !ok {
		return s.front(Pass)
	}
	info, err := s.root.Look(rel, s.o.FollowSymlinks)
	switch {
	case err != nil:
		return Found{}, err
	case info.Kind != docroot.Dir:
		return s.front(Pass)
	case s.o.Index == "":
		return Found{}, nil
	}
	index := strings.TrimPrefix(rel+"/"+s.o.Index, "/")
	if s.excluded(index) {
		return Found{}, nil
	}
	info, err = s.root.Look(index, s.o.FollowSymlinks)
	if err != nil || info.Kind != docroot.Regular {
		return Found{}, err
	}
	return s.run(index, "", info), nil
}

// other is the search for any other path.
func (s search) other(path string) (Found, error) {
	rel, ok := docroot.Clean(path)
	if !ok {
		return s.front(Pass)
	}
	info, err := s.root.Look(rel, s.o.FollowSymlinks)
	switch {
	case err != nil:
		return Found{}, err
	case info.Kind == docroot.None:
		return s.front(Pass)
	case info.Kind != docroot.Dir || s.o.Index == "" || s.excluded(rel+"/"+s.o.Index):
		return Found{}, nil
	}
	info, err = s.root.Look(rel+"/"+s.o.Index, s.o.FollowSymlinks)
	if err != nil || info.Kind != docroot.Regular {
		return Found{}, err
	}
	return Found{Kind: Redirect}, nil
}

// front is the front controller, or otherwise.
func (s search) front(otherwise Kind) (Found, error) {
	if s.o.Front == "" {
		return Found{Kind: otherwise}, nil
	}
	info, err := s.root.Look(s.o.Front, s.o.FollowSymlinks)
	if err != nil || info.Kind != docroot.Regular {
		return Found{Kind: otherwise}, err
	}
	return s.run(s.o.Front, "", info), nil
}

// run is a script that was found.
func (s search) run(rel, info string, of docroot.Info) Found {
	if s.o.MayRun != nil && !s.o.MayRun(rel, of) {
		return Found{Kind: Denied}
	}
	root := s.o.Seen
	if root == "" {
		root = s.root.Real()
	}
	found := Found{Kind: Run, Name: "/" + rel, Info: info, Root: root, Filename: join(root, rel)}
	if info != "" {
		found.Translated = join(root, info[1:])
	}
	return found
}

// join joins a folder with a name below it, of which it changes nothing.
func join(root, rel string) string {
	if strings.HasSuffix(root, string(filepath.Separator)) || strings.HasSuffix(root, "/") {
		return root + rel
	}
	return root + "/" + rel
}

// excluded reports whether a name is where nothing is a script.
func (s search) excluded(rel string) bool {
	for _, prefix := range s.o.Exclude {
		prefix = strings.TrimPrefix(prefix, "/")
		if len(rel) >= len(prefix) && equalFold(rel[:len(prefix)], prefix) {
			return true
		}
	}
	return false
}

// bad reports whether a path holds what no browser sends: a control character,
// or "." or ".." as a segment.
func bad(path string) bool {
	segment := 0
	for i := 0; i <= len(path); i++ {
		if i < len(path) && path[i] != '/' {
			if path[i] < ' ' || path[i] == 0x7f {
				return true
			}
			continue
		}
		if s := path[segment:i]; s == "." || s == ".." {
			return true
		}
		segment = i + 1
	}
	return false
}
