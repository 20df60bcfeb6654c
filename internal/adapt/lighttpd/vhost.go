package lighttpd

// This file: folders by host (evhost, simple-vhost) and of users (userdir).

import (
	"path/filepath"
	"strings"

	"millrace/internal/adapt/document"
)

// hostTrees are the folders that are looked for before server.document-root.
func (l *lowering) hostTrees(all []known) []tree {
	if s := l.effective("evhost.path-pattern", all); s != nil && s.value.text != "" {
		return l.evhost(s)
	}
	s := l.effective("simple-vhost.server-root", all)
	if s == nil || s.value.text == "" {
		return nil
	}
	below := ""
	if of := l.effective("simple-vhost.document-root", all); of != nil {
		below = strings.Trim(of.value.text, "/")
	}
	folder := func(host string) string { return filepath.Join(absolute(s.value.text), host, below) }
	there := func(root string) []cond {
		return []cond{{key: "exists", name: root, value: "folder", at: s.at}}
	}
	root := document.Literal(absolute(s.value.text)) + "/{host}"
	if below != "" {
		root += "/" + document.Literal(below)
	}
	out := []tree{{root: root, conds: there(root), at: s.at}}
	other, at := "", s.at
	if of := l.effective("simple-vhost.default-host", all); of != nil {
		other, at = of.value.text, of.at
	}
	if path := folder(other); isFolder(path) {
		out = append(out, tree{root: document.Literal(path), at: at})
	}
	return out
}

// labels finds the parts of a host: %1 is the last, %2 the one before it.
const labels = `~^(?:(?:(?:(?:.*\.)?(?P<p4>[^.]+)\.)?(?P<p3>[^.]+)\.)?(?P<p2>[^.]+)\.)?(?P<p1>[^.]+)$`

// evhost is the folder of evhost.path-pattern.
func (l *lowering) evhost(s *setting) []tree {
	pattern := strings.TrimSuffix(s.value.text, "/")
	var out strings.Builder
	parts := false
	for i := 0; i < len(pattern); i++ {
		if pattern[i] != '%' || i+1 == len(pattern) {
			out.WriteString(document.Literal(pattern[i : i+1]))
			continue
		}
		i++
		switch c := pattern[i]; c {
		case '%':
			out.WriteByte('%')
		case '_':
			out.WriteString("{host}")
		case '0':
			out.WriteString("{p2}.{p1}")
			parts = true
		case '1', '2', '3', '4':
			out.WriteString("{p" + string(c) + "}")
			parts = true
		default:
			l.problems.Add(s.value.at, "evhost.path-pattern cannot be carried over with %"+string(rune(c)), "%_ is the whole host, %0 the domain, %1 to %4 are its parts from the end")
			return nil
		}
	}
	root := out.String()
	if !strings.HasPrefix(root, "/") {
		root = document.Literal(absolute(".")) + "/" + root
	}
	t := tree{root: root, at: s.at}
	if parts {
		t.conds = append(t.conds, cond{key: "value", name: "{host}", value: labels, at: s.at})
	}
	t.conds = append(t.conds, cond{key: "exists", name: root, value: "folder", at: s.at})
	return []tree{t}
}

// userDirs are the routes of userdir.path.
func (l *lowering) userDirs(all []known) []*route {
	if s := l.effective("userdir.active", all); s != nil && !enabled(s.value) {
		return nil
	}
	s := l.effective("userdir.path", all)
	if s == nil {
		return nil
	}
	if base := l.effective("userdir.basepath", all); base != nil && base.value.text != "" {
		return l.baseDirs(s, base, all)
	}
	in := document.Inline()
	folder := strings.Trim(s.value.text, "/")
	if folder == "" {
		l.problems.Add(s.value.at, "userdir.path cannot be carried over empty: it would serve the homes themselves", `name a folder in them: "public_html"`)
		return nil
	}
	in.Set("folder", folder, s.at)
	names := func(name, key string) {
		if of := l.effective(name, all); of != nil && len(of.value.items) > 0 {
			var users []string
			for _, item := range of.value.items {
				if user := item.value.string(); user != "root" || key != "disabled" { // who never has one
					users = append(users, user)
				}
			}
			if len(users) > 0 {
				in.Set(key, users, of.at)
			}
		}
	}
	names("userdir.include-user", "enabled")
	names("userdir.exclude-user", "disabled")
	index, _ := l.index(nil, all)
	in.Set("index", index, s.at)
	if of := l.listing(all); of != nil {
		in.Set("listing", l.listed(all), of.at)
	}
	return []*route{slashedUser(s), (&route{at: s.at}).set("user_dirs", in, s.at).when(cond{key: "path", value: "/~*", at: s.at})}
}

// slashedUser leads from a user's name to his folder, whether he has one or not: so
// nobody is told who has.
func slashedUser(s *setting) *route {
	to := document.Inline()
	to.Set("to", "/~{1}/?{query}", s.at)
	to.Set("status", 301, s.at)
	return (&route{at: s.at}).set("redirect", to, s.at).when(cond{key: "regexp", value: "^/~([^/]+)$", at: s.at})
}

// baseDirs are folders of users that are not in their homes.
func (l *lowering) baseDirs(s, base *setting, all []known) []*route {
	for _, name := range []string{"userdir.include-user", "userdir.exclude-user"} {
		if of := l.effective(name, all); of != nil && len(of.value.items) > 0 {
			l.problems.Add(of.at, name+" cannot be carried over beside userdir.basepath", "leave out one of the two; who has no folder there has none")
		}
	}
	files := document.Inline()
	root := document.Literal(absolute(base.value.text)) + "/{1}"
	if below := strings.Trim(s.value.text, "/"); below != "" {
		root += "/" + document.Literal(below)
	}
	files.Set("root", root, base.at)
	index, _ := l.index(nil, all)
	files.Set("index", index, s.at)
	if of := l.listing(all); of != nil {
		files.Set("listing", l.listed(all), of.at)
	}
	r := (&route{at: s.at}).set("rewrite", "/{2}", s.at).set("files", files, s.at)
	return []*route{slashedUser(s), r.when(cond{key: "regexp", value: `^/~([A-Za-z0-9._-]+)/(.*)$`, at: s.at})}
}
