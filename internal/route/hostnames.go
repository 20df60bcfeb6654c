package route

import (
	"net/http"
	"regexp"
	"strings"

	"millrace/internal/placeholder"
)

// HostNames keeps the named groups of a site's hosts in the placeholder.Found
// of each request that has one. It returns next if they have none.
func HostNames(hosts []string, next http.Handler) (http.Handler, error) {
	var patterns []*regexp.Regexp
	named := false
	for _, host := range hosts {
		expr, isPattern := strings.CutPrefix(host, "~")
		if !isPattern {
			continue
		}
		re, err := regexp.Compile(expr)
		if err != nil {
			return nil, err
		}
		named = named || strings.Join(re.SubexpNames(), "") != ""
		patterns = append(patterns, re)
	}
	if !named {
		return next, nil
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if found := placeholder.FoundOf(r); found != nil {
			host := Host(r.Host)
			for _, re := range patterns {
				if groups := re.FindStringSubmatch(host); groups != nil && len(host) <= maxHost {
					name(found, re, groups, false)
					break
				}
			}
		}
		next.ServeHTTP(w, r)
	}), nil
}
