package apache

// The rules of mod_rewrite, read: RewriteRule with the RewriteCond before it.

import (
	"fmt"
	"strconv"
	"strings"
)

// ruleset is the rules of one place.
type ruleset struct {
	at      *directive
	on      bool
	base    *directive // RewriteBase
	rules   []rule
	inherit bool // and those of the folder above, after these
	down    bool // folders below have them as well, after their own
	also    *ruleset
	folder  string // whose it is
	place   string // of a <Location>
}

// rule is one RewriteRule.
type rule struct {
	d     *directive
	conds []condition
	flags map[string][]string // in full, by their short names, lower case
}

// condition is one RewriteCond.
type condition struct {
	d        *directive
	or, fold bool
}

// flagNames are the long names of flags.
var flagNames = map[string]string{
	"backrefnoplus": "bnp", "chain": "c", "cookie": "co", "discardpath": "dpi", "env": "e", "forbidden": "f", "gone": "g", "handler": "h",
	"last": "l", "next": "n", "nocase": "nc", "noescape": "ne", "nosubreq": "ns", "proxy": "p", "passthrough": "pt", "qsappend": "qsa",
	"qsdiscard": "qsd", "qslast": "qsl", "redirect": "r", "skip": "s", "type": "t", "ornext": "or", "novary": "nv",
	"escapebackreferences": "b",
}

// rulesOf are the rules of a section; nil: it says nothing of rewriting.
func rulesOf(list []*directive, in scope) *ruleset {
	var set *ruleset
	var conds []condition
	for _, d := range list {
		switch d.name {
		case "rewriteengine", "rewritebase", "rewriterule", "rewritecond", "rewriteoptions":
			if set == nil {
				set = &ruleset{at: d, folder: in.folder, place: in.place}
			}
		}
		switch d.name {
		case "rewriteengine":
			set.on = d.on()
		case "rewritebase":
			set.base = d
		case "rewriteoptions":
			for _, o := range d.texts() {
				set.inherit = set.inherit || strings.EqualFold(o, "inherit")
				set.down = set.down || strings.EqualFold(o, "inheritdown")
			}
		case "rewritecond":
			c := condition{d: d}
			for name := range flagsOf(d.arg(2)) {
				c.or, c.fold = c.or || name == "or", c.fold || name == "nc"
			}
			conds = append(conds, c)
		case "rewriterule":
			for n := len(conds); n > 0 && conds[n-1].or; n-- { // [OR], and no other behind it: they need not hold
				conds = conds[:n-1]
			}
			set.rules = append(set.rules, rule{d: d, conds: conds, flags: flagsOf(d.arg(2))})
			conds = nil
		}
	}
	return set
}

// flagsOf parts [A,B=c].
func flagsOf(text string) map[string][]string {
	all := map[string][]string{}
	text = strings.TrimSuffix(strings.TrimPrefix(text, "["), "]")
	for f := range strings.SplitSeq(text, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(f), "=")
		name = strings.ToLower(name)
		if long, ok := flagNames[name]; ok {
			name = long
		}
		if name != "" {
			all[name] = append(all[name], value)
		}
	}
	return all
}

func (r *rule) has(flag string) bool { _, ok := r.flags[flag]; return ok }

// number is the value of a flag; or what it is without one.
func (r *rule) number(flag string, without int) int {
	of := r.flags[flag]
	if len(of) == 0 || of[0] == "" {
		return without
	}
	switch strings.ToLower(of[0]) {
	case "permanent":
		return 301
	case "temp":
		return 302
	case "seeother":
		return 303
	}
	n, err := strconv.Atoi(of[0])
	if err != nil || n < 0 {
		return -1
	}
	return n
}

// captures reports whether a target has %0 to %9.
func (r *rule) captures() bool {
	target := r.d.arg(1)
	for i := 0; i+1 < len(target); i++ {
		if target[i] == '%' && target[i+1] >= '0' && target[i+1] <= '9' {
			return true
		}
	}
	return false
}

// captured is the rule, or where its target has groups of one of several
// conditions with [OR], a rule for each of these.
func (r *rule) captured() []rule {
	end := len(r.conds) - 1 // the last that is not negated
	for end >= 0 && strings.HasPrefix(r.conds[end].d.arg(1), "!") {
		end--
	}
	start := end
	for start > 0 && r.conds[start-1].or {
		start--
	}
	if !r.captures() || start >= end || r.has("c") || r.has("s") {
		return []rule{*r}
	}
	var all []rule
	for i := start; i <= end; i++ {
		one := *r
		only := r.conds[i]
		only.or = false
		one.conds = append(append(append([]condition{}, r.conds[:start]...), only), r.conds[end+1:]...)
		all = append(all, one)
	}
	return all
}

// rewriteOptionsRight refuses what RewriteOptions says that is not carried over.
func (l *lowering) rewriteOptionsRight(d *directive) {
	for _, o := range d.texts() {
		switch name, _, _ := strings.Cut(strings.ToLower(o), "="); name {
		case "inherit", "inheritdown":
		case "allownoslash", "allowanyuri", "ignorecontextinfo", "legacyprefixdocroot", "longurloptimization", "maxredirects", "mergebase":
		case "inheritbefore", "inheritdownbefore", "ignoreinherit":
			l.refuse(d, "RewriteOptions "+o+": rules of a folder above go behind those of a folder, or are left out", "write the rules into the folder, in their order")
		default:
			l.refuse(d, "RewriteOptions: unknown option: "+o, "there are Inherit and InheritDown")
		}
	}
}

// checkFlags says what flags there are that cannot be.
func (l *lowering) checkFlags(r *rule) bool {
	text := r.d.arg(2)
	if text != "" && (!strings.HasPrefix(text, "[") || !strings.HasSuffix(text, "]")) {
		l.refuse(r.d, "RewriteRule: bad flag delimiters", "flags stand in brackets, without blanks: [L,QSA]")
		return false
	}
	for name := range r.flags {
		switch name {
		case "l", "end", "r", "f", "g", "p", "pt", "qsa", "qsd", "nc", "ne", "b", "bnp", "dpi", "c", "s", "n", "e", "ns", "qsl", "bctls", "bne", "unsafeallow3f", "unsafeprefixstat":
		case "co", "t", "h":
			shown := map[string]string{"co": "CO sets a cookie", "t": "T sets a media type", "h": "H sets a handler"}[name]
			l.refuse(r.d, "RewriteRule: the flag "+shown+", which a rule cannot do here", "write Header, AddType or SetHandler in a <Location> in its place")
			return false
		default:
			l.refuse(r.d, fmt.Sprintf("RewriteRule: unknown flag '%s'", name), "the flags are in https://httpd.apache.org/docs/2.4/rewrite/flags.html")
			return false
		}
	}
	return true
}
