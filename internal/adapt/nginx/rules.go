package nginx

// Which directives there are, where they may stand, and what they take.

import (
	_ "embed"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

//go:embed directives.txt
var directivesText string

// rule is how a directive may be written.
type rule struct {
	contexts string
	counts   string // digits; a "+" behind one: from that on
	flag     bool
	block    bool
}

func (r *rule) takes(n int) bool {
	if from, more := strings.CutSuffix(r.counts, "+"); more {
		least, _ := strconv.Atoi(from[len(from)-1:])
		return n >= least || strings.Contains(from[:len(from)-1], strconv.Itoa(n))
	}
	return n < 10 && strings.Contains(r.counts, strconv.Itoa(n))
}

// count is how many parameters it takes, in words.
func (r *rule) count() string {
	if from, more := strings.CutSuffix(r.counts, "+"); more {
		return from[:1] + " or more"
	}
	parts := strings.Split(r.counts, "")
	if len(parts) > 2 {
		return parts[0] + " to " + parts[len(parts)-1]
	}
	return strings.Join(parts, " or ")
}

// rules are all directives by their names.
func rules() map[string][]rule {
	all := make(map[string][]rule)
	for line := range strings.Lines(directivesText) {
		f := strings.Fields(line)
		if len(f) < 3 || f[0] == "#" {
			continue
		}
		r := rule{contexts: f[1], counts: f[2], block: len(f) > 3}
		if r.flag = r.counts == "flag"; r.flag {
			r.counts = "1"
		}
		all[f[0]] = append(all[f[0]], r)
	}
	return all
}

func (p *parser) names() []string {
	all := make([]string, 0, len(p.rules))
	for name := range p.rules {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

var contextNames = []struct {
	letter byte
	name   string
}{{'M', "main"}, {'E', "events"}, {'H', "http"}, {'S', "server"}, {'L', "location"}, {'s', "if in server"}, {'l', "if in location"}, {'X', "limit_except"}, {'U', "upstream"}}

func contextsOf(rules []rule) string {
	var names []string
	for _, c := range contextNames {
		if slices.ContainsFunc(rules, func(r rule) bool { return strings.IndexByte(r.contexts, c.letter) >= 0 }) {
			names = append(names, c.name)
		}
	}
	return strings.Join(names, ", ")
}

// contextOf is the context within the block of a directive.
func contextOf(d *directive, context byte) byte {
	switch d.name {
	case "events":
		return 'E'
	case "http":
		return 'H'
	case "server":
		return 'S'
	case "location":
		return 'L'
	case "upstream":
		return 'U'
	case "limit_except":
		return 'X'
	case "if":
		if context == 'S' {
			return 's'
		}
		return 'l'
	}
	return context
}

// guess is the context of a file by what stands at its top: the first of main,
// http, server and location, where most of it may stand. A file for server and
// http alike is a server's, since that has sites.
func (p *parser) guess(list []*directive) byte {
	best, most := byte('M'), -1
	for _, context := range []byte{'M', 'S', 'H', 'L', 'U'} {
		n := 0
		for _, d := range list {
			for _, r := range p.rules[d.name] {
				if strings.IndexByte(r.contexts, context) >= 0 && r.block == d.opens {
					n++
					break
				}
			}
		}
		if n > most {
			best, most = context, n
		}
	}
	return best
}

// elsewhere says of directives of modules that are not nginx's own what there is
// here.
func elsewhere(name string) string {
	for prefix, why := range map[string]string{
		"brotli": "the module ngx_brotli has it; millrace compresses with brotli by itself: leave it out",
		"zstd":   "a module of zstd has it; millrace compresses with zstd by itself: leave it out",
		"more_":  "the module headers-more has it; write add_header, or proxy_hide_header",
		"lua_":   "the module of Lua has it; millrace runs no Lua", "content_by_lua": "the module of Lua has it; millrace runs no Lua",
		"access_by_lua": "the module of Lua has it; millrace runs no Lua", "rewrite_by_lua": "the module of Lua has it; millrace runs no Lua",
		"passenger": "the module of Passenger has it; write proxy_pass, or an [app.NAME] in the TOML",
		"js_":       "the module njs has it; millrace runs no JavaScript", "modsecurity": "the module ModSecurity has it; there is no such filter here",
		"geoip2": "the module geoip2 has it; there is no such table here", "pagespeed": "the module pagespeed has it; there is no such filter here",
		"vhost_traffic_status": "a module has it; millrace has its own status: [server] status", "upload_": "a module has it; an app takes uploads",
		"fancyindex": "the module fancyindex has it; write autoindex on", "rtmp": "a module has it; millrace serves no RTMP",
	} {
		if strings.HasPrefix(name, prefix) {
			return why
		}
	}
	return ""
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func plural(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}
