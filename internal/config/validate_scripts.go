package config

// What belongs to script, cgi and user_dirs.

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

var (
	formExtensions    = form{takes: `extensions, like ".php"`, some: true, check: func(_, text string) (string, *refusal) { return checkExtension(text) }}
	formScriptIndex   = form{takes: `the name of a file, like "index.php"`, empty: true, check: checkIndex}
	formScriptFile    = form{takes: `a path below root, like "index.php"`, empty: true, check: checkBelow}
	formExclude       = form{takes: `paths that begin with "/" and end with "/*", like "/uploads/*"`, check: checkExclude}
	formCGIExtensions = form{takes: `extensions, like ".cgi"`, some: true, check: func(_, text string) (string, *refusal) { return checkExtension(text) }}
	formInterpreters  = form{takes: `a table of extensions and programs: { ".pl" = "/usr/bin/perl" }`, check: checkInterpreter, name: checkExtension}
	formHomeFolder    = form{takes: `the path of a folder below a home, like "public_html"`, check: checkHomeFolder}
	formUserNames     = form{takes: "names of users", check: checkAccountName}
	formAppRoot       = form{takes: `an absolute path, like "/var/www/html"`, empty: true, check: checkAppRoot}
)

// checkBelow keeps a name below a folder.
func checkBelow(_, text string) (string, *refusal) {
	name := strings.TrimPrefix(text, "/")
	switch {
	case !filepath.IsLocal(filepath.FromSlash(name)) || strings.HasSuffix(name, "/") || strings.Contains(name, "//"):
		return "", &refusal{"is not a file below root", ""}
	case strings.HasPrefix(name, ".") || strings.Contains(name, "/."):
		return "", &refusal{"files whose names begin with a dot are never served", ""}
	case hasControl(name) || strings.Contains(name, `\`):
		return "", &refusal{"is not the name of a script", ""}
	}
	return name, nil
}

// checkExclude keeps the prefix.
func checkExclude(_, text string) (string, *refusal) {
	prefix := strings.TrimSuffix(text, "*")
	switch {
	case !strings.HasPrefix(text, "/"):
		return "", &refusal{`does not begin with "/"`, fmt.Sprintf("write %q", "/"+short(text))}
	case strings.Contains(prefix, "*"):
		return "", &refusal{`"*" stands before its end`, "name each folder"}
	case !strings.HasSuffix(prefix, "/"):
		return "", &refusal{"is not all of a folder", fmt.Sprintf("write %q", short(prefix)+"/*")}
	case prefix == "/":
		return "", &refusal{"is every path", "leave script out"}
	}
	return prefix + "*", nil
}

func checkAppRoot(_, text string) (string, *refusal) {
	if !strings.HasPrefix(text, "/") || hasControl(text) {
		return "", &refusal{"is not an absolute path", ""}
	}
	return text, nil
}

// script checks the script of a route.
func (k *checker) script(path string, s *Site, r *Route, answers []string) {
	if r.Script == nil || k.bad[path] {
		return
	}
	const where = "[[site.route]]"
	in := scriptSection.label(where)
	var params map[string]string
	paramsAt := ""
	switch app, upstream := k.c.Apps[r.App], k.c.Upstreams[r.Upstream]; {
	case r.App == "" && r.Upstream == "":
		if len(answers) == 0 || answers[0] != "app" && answers[0] != "upstream" {
			k.fail(path, where+" has script, and neither app nor upstream that runs it", `add app = "NAME" or upstream = "NAME"`)
		}
		return
	case r.App != "" && app != nil:
		if len(app.Command) == 0 || !runsScripts(app.Protocol) {
			k.fail(path, fmt.Sprintf("script in %s: %s is no program that runs scripts", where, appSection.label(r.App)), `it is for one with command and protocol = "fastcgi", "scgi" or "uwsgi", like ["php-cgi"]`)
			return
		}
		params, paramsAt = app.Params, join(familyPath("app", r.App), "params")
	case r.Upstream != "" && upstream != nil:
		if !runsScripts(upstream.Protocol) && upstream.Protocol != "" {
			k.fail(path, fmt.Sprintf("script in %s: %s speaks %s, which has no scripts", where, upstreamSection.label(r.Upstream), upstream.Protocol), "leave it out")
			return
		}
		params, paramsAt = upstream.Params, join(familyPath("upstream", r.Upstream), "params")
	}
	for _, name := range []string{"SCRIPT_FILENAME", "SCRIPT_NAME", "PATH_INFO", "PATH_TRANSLATED", "DOCUMENT_ROOT"} {
		if _, both := params[name]; both && !k.bad[paramsAt] {
			k.fail(join(paramsAt, name), fmt.Sprintf("params has %s, which script in %s finds for each request", name, where), "leave one of the two out")
		}
		if at := join(strings.TrimSuffix(path, ".script"), "params"); r.Params[name] != "" && !k.bad[at] {
			k.fail(join(at, name), fmt.Sprintf("params in %s has %s, which script finds for each request", where, name), "leave one of the two out")
		}
	}
	k.scriptRoot(path, in, s, r)
}

// runsScripts reports whether programs of a protocol are told which script to
// run.
func runsScripts(protocol string) bool {
	return protocol == "fastcgi" || protocol == "scgi" || protocol == "uwsgi"
}

// scriptRoot fills in the root, and how the app sees it.
func (k *checker) scriptRoot(path, in string, s *Site, r *Route) {
	c := r.Script
	if c.Root == "" {
		c.Root = s.Root
	}
	switch {
	case k.bad[join(path, "root")]:
		return
	case strings.Contains(c.Root, "{") && !k.given(join(path, "root")):
		k.fail(join(path, "root"), "root is missing in "+in+": that of the site has placeholders", `write root = "FOLDER"`)
		return
	case c.Root == "":
		k.fail(join(path, "root"), "root is missing in "+in, `write root = "FOLDER", or give the site a root`)
		return
	}
	if at := join(path, "front"); c.Front != "" && !k.bad[at] {
		if info, err := os.Stat(filepath.Join(c.Root, filepath.FromSlash(c.Front))); err != nil || !info.Mode().IsRegular() {
			k.refuse(spot{path: at, name: "front", where: in, form: &form{}}, quote(c.Front), &refusal{"there is no such file in " + short(c.Root), "correct the name, or the root"})
		}
	}
	app := k.c.Apps[r.App]
	if app == nil || app.Chroot == "" || c.AppRoot != "" || k.bad[join(familyPath("app", r.App), "chroot")] {
		return
	}
	inside, err := filepath.Rel(app.Chroot, c.Root)
	if err != nil || !filepath.IsLocal(inside) {
		k.fail(join(path, "root"), fmt.Sprintf("root in %s is not within the chroot of %s: its program would find no script", in, appSection.label(r.App)), "name a folder below "+short(app.Chroot))
		return
	}
	c.AppRoot = filepath.Join("/", inside)
}

// checkInterpreter keeps an absolute path.
func checkInterpreter(dir, text string) (string, *refusal) {
	path, err := exec.LookPath(programPath(dir, text))
	var why *exec.Error
	if errors.As(err, &why) {
		err = why.Err
	}
	if err != nil {
		return "", &refusal{"cannot run it: " + cause(err), "install it, or write its path"}
	}
	return absolute(dir, path), nil
}

func checkHomeFolder(_, text string) (string, *refusal) {
	if !filepath.IsLocal(text) || text == "." || hasControl(text) || strings.HasSuffix(text, "/") {
		return "", &refusal{"is not a folder below a home", ""}
	}
	if strings.HasPrefix(text, ".") || strings.Contains(text, "/.") {
		return "", &refusal{"names that begin with a dot are never served", ""}
	}
	return filepath.Clean(text), nil
}

// checkAccountName takes the name of whoever may come yet.
func checkAccountName(_, text string) (string, *refusal) {
	if hasControl(text) || strings.ContainsAny(text, "/:~ ") {
		return "", refuse("is not the name of a user")
	}
	return text, nil
}

// cgi checks the folder of programs of a route.
func (k *checker) cgi(path string, r *Route) {
	if r.CGI == nil || k.bad[path] {
		return
	}
	const where = "[[site.route]]"
	in := cgiSection.label(where)
	k.required(path, in, "root", r.CGI.Root, `write root = "FOLDER"`)
	k.prefix(join(path, "strip"), in, r, r.CGI.Strip)
	if r.Mount != "" && !k.bad[join(strings.TrimSuffix(path, ".cgi"), "mount")] {
		k.fail(join(strings.TrimSuffix(path, ".cgi"), "mount"), where+" has mount beside cgi", `mount is for an app or back ends; cgi takes strip = "/prefix"`)
	}
	k.programsAs(path, in, r.CGI)
}

// programsAs checks as whom the programs of a folder run.
func (k *checker) programsAs(path, in string, c *CGI) {
	if !c.AsOwner {
		k.unused(path, in, "it is for as_owner", "min_uid", "min_gid")
		return
	}
	for key, set := range map[string]bool{"user": c.User != "", "group": c.Group != "", "follow_symlinks": c.FollowSymlinks != nil && *c.FollowSymlinks} {
		if at := join(path, key); set && !k.bad[at] {
			k.fail(at, fmt.Sprintf("%s in %s has as_owner beside it", key, in), "leave one of the two out: as_owner runs each program as the owner of its file, and follows no symbolic link")
		}
	}
}

// userDirs checks the users' folders of a route.
func (k *checker) userDirs(path string, r *Route) {
	c := r.UserDirs
	if c == nil || k.bad[path] {
		return
	}
	const where = "[[site.route]]"
	in := userDirsSection.label(where)
	if at := join(strings.TrimSuffix(path, ".user_dirs"), "path"); !k.bad[at] && r.Path != "/~*" { // and package userdir knows no other
		k.fail(path, where+` has user_dirs, and its path is not "/~*"`, `write path = "/~*"`)
	}
	if c.Listing != nil {
		k.listing(join(path, "listing"), listingSection.label(in), c.Listing)
	}
	at := join(path, "cgi")
	if c.CGI == nil || k.bad[at] {
		return
	}
	of := cgiSection.label(in)
	if len(c.CGI.Extensions) == 0 && !k.bad[join(at, "extensions")] {
		k.fail(join(at, "extensions"), "extensions are missing in "+of, `write extensions = [".cgi"], or every file of these folders would be a program`)
	}
	for _, key := range []string{"root", "strip", "user", "group"} {
		if k.given(join(at, key)) && !k.bad[join(at, key)] {
			k.fail(join(at, key), fmt.Sprintf("%s in %s: the users have theirs", key, of), "leave it out")
		}
	}
	if !c.CGI.AsOwner {
		k.warn(at, fmt.Sprintf("%s runs the programs of all users as one, who could read what each of them serves", of), "write as_owner = true")
	}
	k.programsAs(at, of, c.CGI)
}
