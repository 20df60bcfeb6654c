package adapt

// This file: how the differences that are accepted are kept, and that none is
// which nothing needs. table_test.go lists them.

import (
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// rule accepts differences of some kind, and says why they may be.
type rule struct {
	name    string
	reason  string
	servers string   // names of servers; "": all
	sites   string   // names of sites; "": all
	fields  []string // nil: any; "env *" is every variable
	theirs  string   // a regexp on what the server itself has; "": any
	ours    string   // the same of millrace
	// when is what must hold of the whole beside; nil: nothing.
	when func(x exchange) bool
}

// takes tells whether a rule accepts a difference.
func (r *rule) takes(x exchange, d difference) bool {
	if r.sites != "" && !slices.Contains(strings.Fields(r.sites), x.site) {
		return false
	}
	if r.fields != nil && !slices.ContainsFunc(r.fields, func(f string) bool {
		family, all := strings.CutSuffix(f, "*")
		return f == d.field || all && strings.HasPrefix(d.field, family)
	}) {
		return false
	}
	return found(r.theirs, d.theirs) && found(r.ours, d.ours) && (r.when == nil || r.when(x))
}

func found(expr, text string) bool {
	return expr == "" || regexp.MustCompile(expr).MatchString(text)
}

// rules are those of one server, and how often each was needed.
type rules struct {
	of []*rule

	mu   sync.Mutex
	used map[string]int
}

func newRules(server string) *rules {
	r := &rules{used: map[string]int{}}
	for i := range table {
		if one := &table[i]; one.servers == "" || slices.Contains(strings.Fields(one.servers), server) {
			r.of = append(r.of, one)
		}
	}
	return r
}

// accept tells whether a rule accepts a difference.
func (r *rules) accept(x exchange, d difference) bool {
	for _, one := range r.of {
		if one.takes(x, d) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.used[one.name]++
			return true
		}
	}
	return false
}

// unused fails for each rule that accepted nothing.
func (r *rules) unused(t *testing.T) {
	for _, one := range r.of {
		if r.used[one.name] == 0 {
			t.Errorf("nothing needs the rule %q (%s): take it out", one.name, one.reason)
		}
	}
}
