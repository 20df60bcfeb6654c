package apache

// ErrorDocument.

import (
	"fmt"
	"path"
	"strconv"
	"strings"

	"millrace/internal/adapt/document"
)

// errorPages is ErrorDocument, of all statuses.
func (l *lowering) errorPages(of map[string]*directive) *document.Table {
	pages := document.Inline()
	for _, code := range sortedKeys(of) {
		l.errorPage(pages, code, of[code])
	}
	return pages
}

// ownPages is the error_pages of a route, where they are not the site's.
func (l *lowering) ownPages(c *conf) pairs {
	same := len(c.errors) == len(l.site.pages)
	var at *directive
	for code, d := range c.errors {
		if other := l.site.pages[code]; other == nil || other.arg(1) != d.arg(1) {
			same, at = false, d
		}
	}
	if same {
		return nil
	}
	var p pairs
	p.set("error_pages", l.errorPages(c.errors), placeOf(at))
	return p
}

// errorPage is an ErrorDocument.
func (l *lowering) errorPage(pages *document.Table, code string, d *directive) {
	to := d.arg(1)
	n, err := strconv.Atoi(code)
	switch {
	case err != nil || n < 400 || n > 599:
		l.refuse(d, fmt.Sprintf("ErrorDocument: Unsupported HTTP response code %s", code), "it takes one from 400 to 599")
	case strings.EqualFold(to, "default"):
	case strings.HasPrefix(to, "/"):
		pages.Set(code, document.Literal(path.Clean(to)), d.place)
	case strings.Contains(to, "://"):
		if n == 401 {
			l.refuse(d, "cannot use a full URL in a 401 ErrorDocument directive --- ignoring!", "write a path of the site, or a text")
			return
		}
		pages.Set(code, document.Literal(to), d.place)
	default:
		pages.Set(code, l.errorText(code, to, d), d.place)
	}
}

// errorText is the path of a text of ErrorDocument, made at its first use.
func (l *lowering) errorText(code, text string, d *directive) string {
	s := l.site
	if page := s.texts[text]; page != "" {
		return page
	}
	page := "/" + s.unique("__error_"+code)
	s.texts[text] = page
	var p pairs
	p.set("body", document.Literal(text), d.place)
	if strings.Contains(text, "<") {
		p.set("type", "text/html; charset=utf-8", d.place)
	}
	b := answer(d.place, "respond", p.inline())
	b.keys.set("internal", true, d.place)
	s.before = append(s.before, routed{cond: cond{path: page, at: d.place}, body: b})
	return page
}
