package route

// From the Host header to a site.

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
)

// maxHost is the length of the longest name that DNS has. A longer one is below
// no name, and no regexp is tried on it.
const maxHost = 253

// Table is an immutable set of sites.
type Table struct {
	exact    map[string]http.Handler // lower case
	below    map[string]http.Handler // ".example.com"
	patterns []hostPattern           // in order
	fallback http.Handler            // for a host that nothing else has
}

type hostPattern struct {
	re      *regexp.Regexp
	handler http.Handler
}

// New compiles the sites of one listening address.
func New(sites []Site) (*Table, error) {
	if len(sites) == 0 {
		return nil, fmt.Errorf("no site to route to")
	}
	t := &Table{exact: make(map[string]http.Handler), below: make(map[string]http.Handler)}
	anyHost, byDefault := -1, -1
	for i, s := range sites {
		if s.Handler == nil {
			h, err := NewSite(s)
			if err != nil {
				return nil, fmt.Errorf("site %s: %w", siteName(s, i), err)
			}
			sites[i].Handler = h
			s.Handler = h
		}
		for _, name := range s.Hosts {
			if err := t.name(name, s.Handler); err != nil {
				return nil, fmt.Errorf("site %s: %w", siteName(s, i), err)
			}
		}
		if len(s.Hosts) == 0 && !s.Default {
			if anyHost >= 0 {
				return nil, fmt.Errorf("site %s: a second site without hosts on one address would never be reached", siteName(s, i))
			}
			anyHost = i
		}
		if s.Default {
			if byDefault >= 0 {
				return nil, fmt.Errorf("site %s: a second default site on one address would never be reached", siteName(s, i))
			}
			byDefault = i
		}
	}
	switch {
	case byDefault >= 0 && anyHost >= 0:
		return nil, fmt.Errorf("site %s: without hosts, and beside a default site on one address, it would never be reached", siteName(sites[anyHost], anyHost))
	case byDefault >= 0:
		t.fallback = sites[byDefault].Handler
	case anyHost >= 0:
		t.fallback = sites[anyHost].Handler
	default:
		t.fallback = sites[0].Handler
	}
	return t, nil
}

// name adds one of a site's hosts.
func (t *Table) name(name string, h http.Handler) error {
	if expr, isPattern := strings.CutPrefix(name, "~"); isPattern {
		re, err := regexp.Compile(expr)
		if err != nil {
			return err
		}
		t.patterns = append(t.patterns, hostPattern{re, h})
		return nil
	}
	in, key := t.exact, lower(bareHost(name))
	if rest, isBelow := strings.CutPrefix(key, "*"); isBelow {
		in, key = t.below, rest
		if len(rest) < 2 || rest[0] != '.' {
			return fmt.Errorf("host %q has a * that is no label", name)
		}
	}
	if key == "" {
		return fmt.Errorf("empty host name %q", name)
	}
	if strings.Contains(key, "*") {
		return fmt.Errorf("host %q has a * that is not its first label", name)
	}
	if _, twice := in[key]; twice {
		return fmt.Errorf("host %q is named twice on one address", name)
	}
	in[key] = h
	return nil
}

func siteName(s Site, i int) string {
	if len(s.Hosts) > 0 {
		return s.Hosts[0]
	}
	return fmt.Sprintf("number %d", i+1)
}

// ServeHTTP answers by the site that the request's host names.
func (t *Table) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	t.site(r.Host).ServeHTTP(w, r)
}

// site looks the host up as it stands first: browsers send it in lower case
// and the name alone, so that this is all there is to do, with no allocation.
func (t *Table) site(host string) http.Handler {
	if h, ok := t.exact[host]; ok {
		return h
	}
	if len(t.exact)+len(t.below)+len(t.patterns) == 0 {
		return t.fallback
	}
	host = lower(bareHost(host))
	if h, ok := t.exact[host]; ok {
		return h
	}
	if len(host) > maxHost || host == "" {
		return t.fallback
	}
	if len(t.below) > 0 {
		for i := 1; i < len(host); i++ {
			if host[i] != '.' {
				continue
			}
			if h, ok := t.below[host[i:]]; ok {
				return h
			}
		}
	}
	for i := range t.patterns {
		if t.patterns[i].re.MatchString(host) {
			return t.patterns[i].handler
		}
	}
	return t.fallback
}

// Host is the name of a Host header as hosts are compared: in lower case,
// without port and without the dot that may end it.
func Host(host string) string { return lower(bareHost(host)) }

// lower is a name in lower case, as ASCII has it: strings.ToLower would make
// one name of two, where a letter beyond ASCII has an ASCII one in lower case,
// as the Kelvin sign has.
func lower(name string) string {
	upper := false
	for i := range len(name) {
		upper = upper || 'A' <= name[i] && name[i] <= 'Z'
	}
	if !upper {
		return name
	}
	b := []byte(name)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// bareHost drops the port and the dot that may end a name. An IPv6 address
// keeps its brackets, as it is written in a Host header.
func bareHost(host string) string {
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.Contains(host[i:], "]") {
		host = host[:i]
	}
	return strings.TrimSuffix(host, ".")
}
