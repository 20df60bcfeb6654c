package apache

// Include, and what Apache decides while it reads: IfModule, IfVersion, ${NAME}.

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"millrace/internal/adapt/document"
)

// resolve puts the values of ${NAME} into a word. One with a colon is of a
// RewriteMap.
func (r *reader) resolve(text string, place document.Place) string {
	if !strings.Contains(text, "${") {
		return text
	}
	var b strings.Builder
	for {
		i := strings.Index(text, "${")
		if i < 0 {
			break
		}
		end := strings.IndexByte(text[i:], '}')
		if end < 0 {
			break
		}
		name := text[i+2 : i+end]
		value, ok := r.variable(name)
		switch {
		case ok:
		case strings.Contains(name, ":") || name == "":
			value = text[i : i+end+1]
		default:
			r.problems.Add(place, fmt.Sprintf("Config variable ${%s} is not defined", name), fmt.Sprintf("write Define %s VALUE above it, or set it in the environment", name))
		}
		b.WriteString(text[:i] + value)
		text = text[i+end+1:]
		if b.Len() > maxFile {
			break
		}
	}
	return b.String() + text
}

// debian are the variables that Debian's envvars sets for apache2ctl, which a
// snippet is written with.
var debian = map[string]string{
	"APACHE_RUN_USER": "www-data", "APACHE_RUN_GROUP": "www-data", "APACHE_PID_FILE": "/var/run/apache2/apache2.pid",
	"APACHE_RUN_DIR": "/var/run/apache2", "APACHE_LOCK_DIR": "/var/lock/apache2", "APACHE_LOG_DIR": "/var/log/apache2",
}

func (r *reader) variable(name string) (string, bool) {
	if v, ok := r.defined[name]; ok {
		return v, true
	}
	if v, ok := r.options.Getenv(name); ok {
		return v, true
	}
	v, ok := debian[name]
	return v, ok
}

// include reads the files of a pattern, in the order of their names.
func (r *reader) include(in *block, d *directive) {
	optional := d.name == "includeoptional"
	pattern := r.under(d.arg(0))
	found := []string{pattern}
	if strings.ContainsAny(pattern, "*?[") {
		var err error
		if found, err = filepath.Glob(pattern); err != nil {
			r.problems.Add(d.args[0].place, fmt.Sprintf("%s: the pattern %s is malformed", d.shown, d.arg(0)), "close the [")
			return
		}
		slices.Sort(found)
	} else if info, err := os.Stat(pattern); err == nil && info.IsDir() {
		found = filesBelow(pattern, 0)
	} else if err != nil && optional {
		return
	}
	if len(found) == 0 && !optional {
		r.problems.Add(d.args[0].place, fmt.Sprintf("%s: No matches for the wildcard '%s' in '%s', failing", d.shown, filepath.Base(pattern), filepath.Dir(pattern)), "write IncludeOptional if there may be none")
		return
	}
	for _, path := range found {
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			for _, below := range filesBelow(path, 0) {
				r.file(below, d.args[0].place, in.list, in)
			}
			continue
		}
		r.file(path, d.args[0].place, in.list, in)
	}
}

// filesBelow are the files of a folder and of those in it.
func filesBelow(folder string, depth int) []string {
	entries, err := os.ReadDir(folder) // sorted
	if err != nil || depth > 8 {
		return nil
	}
	var all []string
	for _, e := range entries {
		path := filepath.Join(folder, e.Name())
		if e.IsDir() {
			all = append(all, filesBelow(path, depth+1)...)
			continue
		}
		if all = append(all, path); len(all) > maxFiles {
			break
		}
	}
	return all
}

// under makes a path absolute, from ServerRoot.
func (r *reader) under(path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(r.root, path)
}

// module reports whether a module is there, by its identifier or its file. In
// a snippet without LoadModule that is every one whose directives are known.
func (r *reader) module(name string) bool {
	name = strings.ToLower(name)
	if file, isFile := strings.CutSuffix(name, ".c"); isFile {
		name = strings.TrimPrefix(file, "mod_") + "_module"
	}
	if builtIn[name] || r.loaded[name] {
		return true
	}
	return !r.whole && modules[name]
}

// version compares 2.4 with what IfVersion says.
func (r *reader) version(d *directive) bool {
	const ours = "2.4"
	op, want := "=", d.arg(0)
	if len(d.args) > 1 {
		op, want = d.arg(0), d.arg(1)
	}
	negated := strings.HasPrefix(op, "!")
	op = strings.TrimPrefix(op, "!")
	if op == "" {
		op = "="
	}
	var holds bool
	order := compareVersions(ours, want)
	switch op {
	case "=", "==":
		holds = order == 0
	case ">":
		holds = order > 0
	case ">=":
		holds = order >= 0
	case "<":
		holds = order < 0
	case "<=":
		holds = order <= 0
	default:
		r.problems.Add(d.place, fmt.Sprintf("IfVersion: unrecognized operator %q", op), "it takes =, >, >=, < or <=; a regular expression is not carried over")
	}
	return holds != negated
}

// compareVersions compares as many numbers as both have.
func compareVersions(a, b string) int {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := range min(len(as), len(bs)) {
		if as[i] != bs[i] {
			if len(as[i]) != len(bs[i]) {
				return len(as[i]) - len(bs[i])
			}
			return strings.Compare(as[i], bs[i])
		}
	}
	return 0
}
