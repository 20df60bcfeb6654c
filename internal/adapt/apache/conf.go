package apache

// What holds for one folder, location or file: the directives of all sections
// that are for it, put together as Apache merges them.

import (
	"maps"
	"path"
	"slices"
	"strings"

	"millrace/internal/adapt/document"
)

// option is one of Options.
type option uint8

const (
	optIndexes option = 1 << iota
	optFollow
	optFollowOwner
	optCGI
	optIncludes
	optMultiViews
)

var optionNames = map[string]option{
	"indexes": optIndexes, "followsymlinks": optFollow, "symlinksifownermatch": optFollowOwner,
	"execcgi": optCGI, "includes": optIncludes, "includesnoexec": optIncludes, "multiviews": optMultiViews,
	"all": optIndexes | optFollow | optFollowOwner | optCGI | optIncludes, "none": 0,
}

// conf is what holds somewhere. It is copied by clone, and never changed after.
type conf struct {
	options   option
	optionsAt *directive

	index       []string // of DirectoryIndex; nil: it was not said
	indexOff    bool
	slashOff    *directive
	fallback    *directive            // FallbackResource
	handlers    map[string]*directive // by extension without the dot, lower case; its last word but these is the handler
	forced      map[string]*directive // the same of SetHandler in <FilesMatch>, which goes before SetHandler of folders
	handler     *directive            // SetHandler; nil: by extension
	types       map[string]*directive // AddType by extension
	charsets    map[string]*directive // AddCharset by extension
	forceType   *directive
	charset     *directive
	errors      map[string]*directive // ErrorDocument by status
	headers     []*directive
	requests    []*directive // RequestHeader
	env         []*directive // SetEnv, UnsetEnv, PassEnv, SetEnvIf, BrowserMatch
	expires     bool
	expiresAll  *directive
	expiresType map[string]*directive
	maxBody     *directive
	redirects   []*directive
	filters     []*directive          // of responses
	fcgid       map[string]*directive // FcgidWrapper by extension; "": of all
	rlimits     map[string]*directive
	sslRequired *directive
	rewrite     *ruleset
	proxy       *directive // ProxyPass within a Location
	proxyAt     string     // and of which
	reverse     []*directive
	single      map[string]*directive // the last of each other directive
	access      accessRules
	override    *directive
	ignore      []*directive // IndexIgnore
}

// newConf is what holds where nothing is said.
func newConf() *conf {
	return &conf{options: optFollow, handlers: map[string]*directive{}, forced: map[string]*directive{}, types: map[string]*directive{}, charsets: map[string]*directive{}, errors: map[string]*directive{},
		expiresType: map[string]*directive{}, fcgid: map[string]*directive{}, rlimits: map[string]*directive{}, single: map[string]*directive{}}
}

func (c *conf) clone() *conf {
	n := *c
	for _, m := range []*map[string]*directive{&n.handlers, &n.forced, &n.types, &n.charsets, &n.errors, &n.expiresType, &n.fcgid, &n.rlimits, &n.single} {
		*m = maps.Clone(*m)
	}
	for _, l := range []*[]*directive{&n.headers, &n.requests, &n.env, &n.redirects, &n.filters, &n.reverse, &n.ignore} {
		*l = slices.Clone(*l)
	}
	return &n
}

// get is a directive that is said once; nil: it is not.
func (c *conf) get(name string) *directive { return c.single[name] }

// text is the first word of it.
func (c *conf) text(name string) string {
	if d := c.single[name]; d != nil {
		return d.arg(0)
	}
	return ""
}

// scope is where the directives of a section stand.
type scope struct {
	folder string // of a <Directory> or .htaccess; "": another section
	place  string // of a <Location>
	server bool   // outside of all sections
	proxy  bool   // of a <Proxy>
}

// with is what holds once the directives of another section are heard.
func (c *conf) with(list []*directive, in scope) *conf {
	n := c.clone()
	first := map[string]bool{}
	begins := func(what string) bool {
		was := first[what]
		first[what] = true
		return !was
	}
	var redirects, headers, requests []*directive
	for _, d := range list {
		switch d.name {
		case "options":
			n.setOptions(d)
		case "directoryindex":
			if begins("index") {
				n.index, n.indexOff = nil, false
			}
			n.single[d.name] = d
			n.indexOff = len(d.args) == 1 && strings.EqualFold(d.arg(0), "disabled")
			if !n.indexOff {
				n.index = append(slices.Clone(n.index), d.texts()...)
			}
		case "directoryslash":
			if n.slashOff = nil; strings.EqualFold(d.arg(0), "off") {
				n.slashOff = d
			}
		case "fallbackresource":
			n.fallback = d
			if d.arg(0) == "disabled" {
				n.fallback = nil
			}
		case "addhandler":
			for _, ext := range d.texts()[1:] {
				n.handlers[extension(ext)] = d
			}
		case "removehandler":
			for _, ext := range d.texts() {
				delete(n.handlers, extension(ext))
			}
		case "sethandler of extensions":
			for _, ext := range d.texts()[1:] {
				if n.forced[extension(ext)] = d; strings.EqualFold(d.arg(0), "none") {
					delete(n.forced, extension(ext))
				}
			}
		case "sethandler":
			if n.handler = d; strings.EqualFold(d.arg(0), "none") {
				n.handler = nil
			}
			if in.place != "" { // heard after <FilesMatch>
				n.forced = map[string]*directive{}
			}
		case "addtype":
			for _, ext := range d.texts()[1:] {
				n.types[extension(ext)] = d
			}
		case "removetype":
			for _, ext := range d.texts() {
				delete(n.types, extension(ext))
			}
		case "addcharset":
			for _, ext := range d.texts()[1:] {
				n.charsets[extension(ext)] = d
			}
		case "removecharset":
			for _, ext := range d.texts() {
				delete(n.charsets, extension(ext))
			}
		case "forcetype":
			if n.forceType = d; strings.EqualFold(d.arg(0), "none") {
				n.forceType = nil
			}
		case "adddefaultcharset":
			if n.charset = d; strings.EqualFold(d.arg(0), "off") {
				n.charset = nil
			}
		case "errordocument":
			n.errors[d.arg(0)] = d
		case "header":
			headers = append(headers, d)
		case "requestheader":
			requests = append(requests, d)
		case "setenv", "unsetenv", "passenv", "setenvif", "setenvifnocase", "browsermatch", "browsermatchnocase":
			n.env = append(n.env, d)
		case "expiresactive":
			n.expires = d.on()
		case "expiresdefault":
			n.expiresAll = d
		case "expiresbytype":
			n.expiresType[strings.ToLower(d.arg(0))] = d
		case "limitrequestbody":
			n.maxBody = d
		case "redirect", "redirectmatch", "redirectpermanent", "redirecttemp":
			if !in.server {
				redirects = append(redirects, d)
			}
		case "addoutputfilterbytype", "setoutputfilter", "addoutputfilter":
			n.filters = append(n.filters, d)
		case "fcgidwrapper", "fcgiwrapper":
			ext := ""
			if len(d.args) > 1 && strings.HasPrefix(d.arg(1), ".") {
				ext = extension(d.arg(1))
			}
			n.fcgid[ext] = d
		case "rlimitcpu", "rlimitmem", "rlimitnproc":
			n.rlimits[d.name] = d
		case "sslrequiressl":
			n.sslRequired = d
		case "proxypass", "proxypassmatch":
			if !in.server {
				n.proxy, n.proxyAt = d, in.place
			}
		case "proxypassreverse", "proxypassreversecookiedomain", "proxypassreversecookiepath":
			if !in.server {
				n.reverse = append(n.reverse, d)
			}
		case "indexignore":
			n.ignore = append(n.ignore, d)
		case "indexignorereset":
			if d.on() {
				n.ignore = nil
			}
		case "allowoverride":
			n.override = d
		case "rewriteengine", "rewriterule", "rewritecond", "rewritebase", "rewriteoptions":
		case "require", "requireall", "requireany", "requirenone", "order", "allow", "deny", "satisfy", "limit", "limitexcept", "authmerging": // see accessRules
		case "php_value", "php_flag", "php_admin_value", "php_admin_flag":
			n.single["php "+d.arg(0)] = d
		default:
			n.single[d.name] = d
		}
	}
	n.redirects = append(redirects, n.redirects...) // of the section itself first
	n.headers = append(n.headers, headers...)
	n.requests = append(n.requests, requests...)
	n.access = n.access.with(list)
	if !in.server {
		if set := rulesOf(list, in); set != nil {
			if n.rewrite != nil && (set.inherit || n.rewrite.down) {
				set.also, set.down = n.rewrite, set.down || n.rewrite.down
			}
			n.rewrite = set
		}
	}
	return n
}

// setOptions changes options: those with + or - among those there are, others in
// place of all.
func (c *conf) setOptions(d *directive) {
	c.optionsAt = d
	fresh := false
	for _, word := range d.texts() {
		sign := byte(0)
		if word != "" && (word[0] == '+' || word[0] == '-') {
			sign, word = word[0], word[1:]
		}
		bits := optionNames[strings.ToLower(word)]
		switch sign {
		case '+':
			c.options |= bits
		case '-':
			c.options &^= bits
		default:
			if !fresh {
				c.options, fresh = 0, true
			}
			if strings.EqualFold(word, "none") {
				c.options = 0
			}
			c.options |= bits
		}
	}
}

func (c *conf) has(o option) bool { return c.options&o != 0 }

// indexes are the files that answer for a folder.
func (c *conf) indexes() []string {
	switch {
	case c.indexOff:
		return nil
	case c.index == nil:
		return []string{"index.html"}
	}
	return c.index
}

// extension is one without its dot, in lower case.
func extension(text string) string { return strings.ToLower(strings.TrimPrefix(text, ".")) }

// section is a <Directory>, <Location>, <Files> or one of their kin.
type section struct {
	d       *directive
	kind    string // directory, location, files
	pattern string // a path without the slash at its end, or a regexp, or a name
	regexp  bool
	list    []*directive
}

// sections finds those of a list, which stand within a virtual host, or without.
func sections(list []*directive) []section {
	var all []section
	for _, d := range list {
		kind, isMatch := strings.CutSuffix(d.name, "match")
		if kind != "directory" && kind != "location" && kind != "files" {
			continue
		}
		s := section{d: d, kind: kind, regexp: isMatch, list: d.within, pattern: d.arg(0)}
		if d.arg(0) == "~" {
			s.regexp, s.pattern = true, d.arg(1)
		}
		if !s.regexp && kind != "files" && s.pattern != "/" && kind == "directory" {
			s.pattern = path.Clean(s.pattern)
		}
		all = append(all, s)
	}
	return all
}

// placeOf is where a directive stands; nowhere, without one.
func placeOf(d *directive) document.Place {
	if d == nil {
		return document.Place{}
	}
	return d.place
}
