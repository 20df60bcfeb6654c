package lighttpd

// This file: url.access-deny and url.access-allow. lighttpd asks them twice: for the
// path of the URL, and for that of the file once it is known, which is an index of
// the folder, or a script without what follows its name.

import (
	"regexp"
	"slices"
	"strings"

	"millrace/internal/adapt/document"
)

// access is the list that holds in a case: what paths end with that are denied, or
// that alone are allowed.
type access struct {
	*setting
	allow bool
}

// accessOf is the list of a case; nil: there is none.
func (l *lowering) accessOf(all []known) *access {
	if s := l.effective("url.access-allow", all); s != nil && len(s.value.items) > 0 {
		return &access{s, true}
	}
	s := l.effective("url.access-deny", all)
	if s == nil {
		s = l.effective("access.deny", all)
	}
	if s == nil || len(s.value.items) == 0 {
		return nil
	}
	return &access{s, false}
}

// texts are what paths end with.
func (a *access) texts() []string {
	var all []string
	for _, of := range a.value.items {
		all = append(all, of.value.string())
	}
	return all
}

// denied are the routes that ask for the path of the URL.
func (l *lowering) denied(all []known) []*route {
	a := l.accessOf(all)
	if a == nil {
		return nil
	}
	if slices.Contains(a.texts(), "") {
		if a.allow {
			return nil
		}
		return []*route{forbidden(a.at)}
	}
	return []*route{forbidden(a.at, cond{key: "regexp", value: a.ends(), not: a.allow, at: a.at})}
}

// ends is an expression for what ends with one of the texts.
func (a *access) ends() string {
	return endings(a.value.items, func(of item) string { return of.value.string() })
}

func forbidden(at document.Place, conds ...cond) *route {
	status := document.Inline()
	status.Set("status", 403, at)
	return (&route{at: at}).set("respond", status, at).when(conds...)
}

// barredIndex tells of which folders an index is denied: of all, of none, or of those
// that conditions hold for.
func (a *access) barredIndex(name string) (barred bool, conds []cond) {
	if a == nil {
		return false, nil
	}
	var folders []item // what the paths end with of which a longer text decides
	for _, text := range a.texts() {
		if strings.HasSuffix(name, text) {
			return !a.allow, nil
		}
		if folder, is := strings.CutSuffix(text, name); is && strings.HasSuffix(folder, "/") {
			folders = append(folders, item{key: folder})
		}
	}
	if len(folders) == 0 {
		return a.allow, nil
	}
	return true, []cond{{key: "regexp", value: endings(folders, func(of item) string { return of.key }), not: a.allow, at: a.at}}
}

// barredScripts are the routes that ask for the path of a script that has something
// behind it. Dotted are the endings that scripts have; anything: there are others.
func (l *lowering) barredScripts(t tree, dotted []string, anything bool, all []known) []*route {
	a := l.accessOf(all)
	if a == nil || len(dotted) == 0 && !anything || slices.Contains(a.texts(), "") {
		return nil
	}
	expr := func(script string) []cond {
		return []cond{{key: "regexp", value: "^(?P<barred>" + regexp.QuoteMeta(t.strip) + "(?P<script>" + script + "))/", at: a.at},
			{key: "exists", name: t.root + "{script}", value: "file", at: a.at}}
	}
	if !a.allow {
		script := ".*?" + strings.TrimSuffix(a.ends(), "$")
		for i := range len(t.strip) { // a text may begin in what the alias strips
			for _, text := range a.texts() {
				if rest, is := strings.CutPrefix(text, t.strip[i:]); is && strings.HasPrefix(rest, "/") {
					script += "|" + regexp.QuoteMeta(rest)
				}
			}
		}
		return []*route{forbidden(a.at, expr(script)...)}
	}
	if anything {
		l.problems.Add(a.at, "url.access-allow cannot be carried over beside programs and scripts that are not told by an ending: which part of a path is the program is known too late", "name their endings, "+`".cgi" => ""`+", or deny by url.access-deny")
		return nil
	}
	script := ".*?" + strings.TrimSuffix(endings(texts(dotted), func(of item) string { return of.key }), "$")
	return []*route{forbidden(a.at, append(expr(script), cond{key: "value", name: "{barred}", value: "~" + a.ends(), not: true, at: a.at})...)}
}

// scriptEndings are those of the scripts and programs of a case; anything: some have
// none.
func (l *lowering) scriptEndings(gateways []*gateway, all []known) (dotted []string, anything bool) {
	add := func(key string) {
		switch {
		case strings.HasPrefix(key, ".") && !strings.ContainsAny(key[1:], "./\\"):
			dotted = append(dotted, strings.ToLower(key))
		default:
			anything = true
		}
	}
	for _, g := range gateways {
		if g.authorizer || g.http {
			continue
		}
		for _, key := range append(slices.Clone(g.mapped), g.key) {
			if g.local || !strings.HasPrefix(key, "/") {
				add(key)
			}
		}
	}
	if s := l.effective("cgi.assign", all); s != nil {
		for _, of := range s.value.items {
			add(of.key)
		}
	}
	return dotted, anything
}
