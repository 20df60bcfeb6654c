package apache

// <FilesMatch "\.php$"> SetHandler H </FilesMatch> says what AddHandler H .php
// does, and is taken for it: so a script also has what follows its name in the
// path, and answers for its folder.

import (
	"path"
	"strings"
)

// byExtension takes SetHandler out of sections for names with some extensions.
func byExtension(list []*directive) []*directive {
	var out []*directive
	for _, d := range list {
		d.within = byExtension(d.within)
		if d.name != "files" && d.name != "filesmatch" {
			out = append(out, d)
			continue
		}
		exts := extensionsOfSection(d)
		var kept []*directive
		for _, in := range d.within {
			if in.name != "sethandler" || exts == nil || len(in.args) == 0 {
				kept = append(kept, in)
				continue
			}
			add := &directive{name: "sethandler of extensions", shown: in.shown, place: in.place, args: in.args[:1:1], known: in.known}
			for _, ext := range exts {
				add.args = append(add.args, arg{ext, d.place})
			}
			out = append(out, add)
		}
		if d.within = kept; relevant(kept) {
			out = append(out, d)
		}
	}
	return out
}

// extensionsOfSection are those of a <Files> or <FilesMatch>; nil: it is for
// other names.
func extensionsOfSection(d *directive) []string {
	pattern, isRegexp := d.arg(0), d.name == "filesmatch"
	if pattern == "~" {
		pattern, isRegexp = d.arg(1), true
	}
	if isRegexp {
		return extensions(strings.TrimPrefix(pattern, "(?i)"))
	}
	if ext, ok := strings.CutPrefix(pattern, "*."); ok && ext != "" && !strings.ContainsAny(ext, "*?[") && path.Ext(pattern) == "."+ext {
		return []string{"." + ext}
	}
	return nil
}

// matchedScripts takes ProxyPassMatch ^/(.*\.php)$ fcgi://HOST/DOCUMENTROOT/$1
// for AddHandler, too: where its folder is the one that the paths are of.
func (l *lowering) matchedScripts(list []*directive) []*directive {
	root := ""
	for _, d := range list {
		if d.name == "documentroot" {
			root = strings.TrimRight(l.path(d.arg(0)), "/")
		}
	}
	out := make([]*directive, 0, len(list))
	for _, d := range list {
		if d.name == "virtualhost" {
			d.within = l.matchedScripts(d.within)
		}
		if d.name != "proxypassmatch" || len(d.args) < 2 || root == "" {
			out = append(out, d)
			continue
		}
		exts := scriptEnds(d.arg(0))
		address, ok := strings.CutSuffix(strings.TrimSuffix(d.arg(1), "$1"), root+"/")
		if !strings.HasPrefix(d.arg(0), "^/(") || !strings.HasSuffix(d.arg(1), "/$1") || exts == nil || !ok || !strings.Contains(address, "fcgi://") {
			out = append(out, d)
			continue
		}
		add := &directive{name: "sethandler of extensions", shown: d.shown, place: d.place, known: d.known, args: []arg{{"proxy:" + address, d.args[1].place}}}
		for _, ext := range exts {
			add.args = append(add.args, arg{ext, d.args[0].place})
		}
		out = append(out, add)
	}
	return out
}
