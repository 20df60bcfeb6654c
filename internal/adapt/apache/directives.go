package apache

// The directives that are known: where each may stand, how many words it takes,
// and what becomes of it.

import (
	"fmt"
	"strings"
)

// known is a directive of Apache.
type known struct {
	name    string // as it is written in Apache's manual
	where   string // of "s" the main server, "v" a virtual host, "d" a folder, location or file
	takes   string // "2", "1-2", "1+", "0+", "flag", "raw"
	least   int
	most    int // -1: any number
	section bool
	nothing string // it has no meaning here, and why; it becomes a comment
	refused string // why it is not carried over
	unless  bool   // unless it is Off
}

var directives = readTable(directiveTable)

// builtIn are the modules that are compiled into Debian's and most others'.
var builtIn = map[string]bool{
	"core_module": true, "so_module": true, "http_module": true, "log_config_module": true, "logio_module": true,
	"version_module": true, "unixd_module": true, "watchdog_module": true,
}

// modules are those whose directives are carried over: a snippet is taken for
// that of a server that has them.
var modules = func() map[string]bool {
	all := make(map[string]bool)
	for name := range strings.FieldsSeq(`access_compat alias actions auth_basic authn_core authn_file authz_core authz_groupfile authz_host
		authz_user autoindex brotli cgi cgid deflate dir env expires fcgid fastcgi filter headers mime mpm_event mpm_prefork mpm_worker
		negotiation php php5 php7 proxy proxy_ajp proxy_balancer proxy_fcgi proxy_http proxy_http2 proxy_scgi proxy_uwsgi
		proxy_wstunnel remoteip reqtimeout rewrite setenvif slotmem_shm lbmethod_byrequests lbmethod_bybusyness lbmethod_bytraffic
		socache_shmcb ssl status suexec userdir vhost_alias wsgi http2 md`) {
		all[name+"_module"] = true
	}
	return all
}()

// readTable reads lines of a name, where it may stand, what it takes, and "="
// with a reason why it is a comment, "!" with one why it is refused, or "?" with
// one why it is unless it is Off.
func readTable(text string) map[string]*known {
	all := make(map[string]*known)
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		name, rest, _ := strings.Cut(line, " ")
		where, rest, _ := strings.Cut(rest, " ")
		takes, why, _ := strings.Cut(rest, " ")
		section := strings.HasPrefix(name, "<")
		for name := range strings.SplitSeq(strings.Trim(name, "<>"), ",") {
			k := &known{name: name, where: where, takes: takes, section: section}
			switch takes {
			case "flag":
				k.least, k.most = 1, 1
			case "raw":
				k.most = -1
			default:
				k.least = int(takes[0] - '0')
				k.most = k.least
				if takes[len(takes)-1] == '+' {
					k.most = -1
				} else if len(takes) == 3 {
					k.most = int(takes[2] - '0')
				}
			}
			if reason, ok := strings.CutPrefix(why, "= "); ok {
				k.nothing = reason
			}
			if reason, ok := strings.CutPrefix(why, "! "); ok {
				k.refused = reason
			}
			if reason, ok := strings.CutPrefix(why, "? "); ok {
				k.refused, k.unless = reason, true
			}
			all[strings.ToLower(name)] = k
		}
	}
	return all
}

// optionsRight checks the words of Options.
func (r *reader) optionsRight(d *directive) bool {
	signed, bare := false, false
	for _, a := range d.args {
		word := a.text
		if word != "" && (word[0] == '+' || word[0] == '-') {
			signed, word = true, word[1:]
		} else {
			bare = true
		}
		if _, ok := optionNames[strings.ToLower(word)]; !ok {
			r.problems.Add(a.place, "Illegal option "+word, "there are Indexes, FollowSymLinks, SymLinksIfOwnerMatch, ExecCGI, Includes, IncludesNOEXEC, MultiViews, All and None")
			return false
		}
	}
	if signed && bare {
		r.problems.Add(d.place, "Either all Options must start with + or -, or no Option may.", "write + before those without a sign, if they are to be added")
	}
	return !signed || !bare
}

var numbers = [...]string{"no", "one", "two", "three", "four", "five"}

// arity checks how many words there are, in Apache's words.
func (r *reader) arity(d *directive, k *known) bool {
	n := len(d.args)
	if k.takes == "raw" || n >= k.least && (k.most < 0 || n <= k.most) {
		if k.takes == "flag" && !isFlag(d.arg(0)) {
			r.problems.Add(d.args[0].place, fmt.Sprintf("%s must be On or Off", k.name), "write "+k.name+" On, or "+k.name+" Off")
			return false
		}
		return true
	}
	says := ""
	switch {
	case k.takes == "flag":
		says = "must be On or Off"
	case k.most == 0:
		says = "takes no arguments"
	case d.name == "rewriterule" || d.name == "rewritecond":
		says = "bad argument line '" + strings.TrimSpace(d.raw) + "'"
	case k.most < 0 && k.least <= 1:
		says = "requires at least one argument"
	case k.most < 0:
		says = "requires at least " + numbers[k.least] + " arguments"
	case k.most == 1:
		says = "takes one argument"
	case k.least == k.most && k.most == 2:
		says = "requires two arguments"
	case k.least == k.most:
		says = "takes " + numbers[k.most] + " arguments"
	case k.least == 0 && k.most == 1:
		says = "takes one argument"
	case k.least == 1 && k.most == 2:
		says = "takes 1-2 arguments"
	case k.least == 2 && k.most == 3:
		says = "takes two or three arguments"
	case k.least == 1 && k.most == 3:
		says = "takes one, two or three arguments"
	default:
		says = fmt.Sprintf("takes %s to %s arguments", numbers[k.least], numbers[k.most])
	}
	name := k.name
	if strings.HasPrefix(says, "bad") {
		name += ":"
	}
	r.problems.Add(d.place, name+" "+says, fmt.Sprintf("there are %d here; one with blanks in it stands between quotes", n))
	return false
}

func isFlag(text string) bool { return strings.EqualFold(text, "on") || strings.EqualFold(text, "off") }

// on is whether a directive that is On or Off is on.
func (d *directive) on() bool { return strings.EqualFold(d.arg(0), "on") }

// allowed checks that a directive may stand where it does.
func (r *reader) allowed(in *block, d *directive, k *known) bool {
	where := byte('s')
	for b := in; b != nil; b = b.up {
		switch b.name {
		case "virtualhost":
			if where == 's' {
				where = 'v'
			}
		case "":
		default:
			where = 'd'
		}
	}
	if r.htaccess && where == 's' {
		where = 'h'
	}
	switch {
	case strings.IndexByte(k.where, where) >= 0, where == 'h' && strings.IndexByte(k.where, 'd') >= 0 && !strings.Contains(" directory directorymatch location locationmatch proxy proxymatch ", " "+d.name+" "):
		return true
	case where == 'v' && k.where == "s":
		shown := k.name
		if k.section {
			shown = "<" + k.name
		}
		r.problems.Add(d.place, fmt.Sprintf("%s cannot occur within <VirtualHost> section", shown), "move it out of the section")
		return false
	}
	says := k.name + " not allowed here"
	shown := k.name
	if k.section {
		shown = "<" + shown
	}
	switch {
	case d.name == "serveralias":
		says = "ServerAlias only used in <VirtualHost>"
	case d.name == "rewritebase":
		says = "RewriteBase: only valid in per-directory config files"
	case where == 'd' && in.name != "":
		says = fmt.Sprintf("%s not allowed in <%s> context", shown, directives[in.name].name)
	}
	r.problems.Add(d.place, says, "it belongs "+belongs(k.where))
	return false
}

func belongs(where string) string {
	switch where {
	case "s":
		return "into the main file, outside of all sections"
	case "sv":
		return "into the main file or a <VirtualHost>, outside of <Directory>, <Location> and <Files>"
	}
	return "into a <Directory>, <Location> or <Files> section"
}
