package server

import (
	"net/http"
	"strconv"
	"strings"

	"millrace/internal/config"
	"millrace/internal/placeholder"
	"millrace/internal/respond"
)

// layerErrorPages answers errors with the pages of the site.
func layerErrorPages(b *builder, at *place, next http.Handler) (http.Handler, error) {
	if !at.site.HasErrorPages() {
		return next, nil
	}
	e, err := b.siteErrors(at)
	if err != nil {
		return nil, err
	}
	return e.Wrap(next), nil
}

// layerRouteErrorPages has the route's pages take the place of the site's.
func layerRouteErrorPages(b *builder, at *place, next http.Handler) (http.Handler, error) {
	if !at.site.RoutesHaveErrorPages() {
		return next, nil
	}
	var e *respond.Errors
	var err error
	r := at.route
	if r.ErrorPages == nil {
		e, err = b.siteErrors(at)
	} else {
		e, err = b.errors(at, r.ErrorPages)
		e.OfApps = at.site.ErrorPagesOfApps
	}
	if err != nil {
		return nil, err
	}
	if r.ErrorPagesOfApps != nil {
		e.OfApps = *r.ErrorPagesOfApps
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e.Use(w, r)
		next.ServeHTTP(w, r)
	}), nil
}

func (b *builder) siteErrors(at *place) (*respond.Errors, error) {
	of := *at
	of.scope = at.siteScope
	e, err := b.errors(&of, at.site.ErrorPages)
	e.OfApps = at.site.ErrorPagesOfApps
	return e, err
}

// errors are the pages of a table.
func (b *builder) errors(at *place, table map[string]string) (*respond.Errors, error) {
	e := &respond.Errors{Pages: map[int]*respond.Page{}, Again: at.entry.page, Group: at.entry.pageGroup}
	for name, to := range table {
		page, err := b.errorPage(at, to)
		if err != nil {
			return e, err
		}
		if class, isClass := strings.CutSuffix(name, "xx"); isClass {
			for code := range 600 {
				if code/100 == int(class[0]-'0') && table[strconv.Itoa(code)] == "" {
					e.Pages[code] = page
				}
			}
			continue
		}
		code, err := strconv.Atoi(name)
		if err != nil { // package config has checked it
			return e, err
		}
		e.Pages[code] = page
	}
	return e, nil
}

func (b *builder) errorPage(at *place, text string) (*respond.Page, error) {
	status, to, err := config.ErrorPage(text)
	if err != nil { // package config has checked it
		return nil, err
	}
	page := &respond.Page{Status: status}
	if path, isFile := strings.CutPrefix(to, "file:"); isFile {
		page.Body, page.Type = b.plan.Pages[path], pageType(path)
		return page, nil
	}
	if group, isGroup := strings.CutPrefix(to, "@"); isGroup {
		page.Group = group
		return page, nil
	}
	scope := at.scope
	scope.Extra = func(name string) placeholder.Value {
		if name != "status" {
			return nil
		}
		return func(dst []byte, _ *http.Request, with any) []byte {
			code, _ := with.(respond.Status)
			return strconv.AppendInt(dst, int64(code), 10)
		}
	}
	where := &page.To
	if !strings.HasPrefix(to, "/") {
		where = &page.URL
	}
	*where, err = at.textWith("error_pages", to, scope)
	return page, err
}

// layerOfApp tells the pages of errors that an app answers.
func layerOfApp(_ *builder, at *place, next http.Handler) (http.Handler, error) {
	r := at.route
	if !at.site.HasErrorPages() || r.Files != nil || r.Respond != nil || r.Redirect != nil || r.Status || r.Health {
		return next, nil
	}
	return respond.OfApp(next), nil
}
