package server

import (
	"net/http"
	"strconv"
	"strings"

	"millrace/internal/placeholder"
	"millrace/internal/respond"
)

// layerErrorPages answers errors with the pages of the site.
func layerErrorPages(b *builder, at *place, next http.Handler) (http.Handler, error) {
	if len(at.site.ErrorPages) == 0 {
		return next, nil
	}
	e := &respond.Errors{Pages: map[int]*respond.Page{}, OfApps: at.site.ErrorPagesOfApps, Again: at.entry.page}
	for name, to := range at.site.ErrorPages {
		page, err := b.errorPage(at, to)
		if err != nil {
			return nil, err
		}
		if class, isClass := strings.CutSuffix(name, "xx"); isClass {
			for code := range 600 {
				if code/100 == int(class[0]-'0') && at.site.ErrorPages[strconv.Itoa(code)] == "" {
					e.Pages[code] = page
				}
			}
			continue
		}
		code, err := strconv.Atoi(name)
		if err != nil { // package config has checked it
			return nil, err
		}
		e.Pages[code] = page
	}
	return e.Wrap(next), nil
}

func (b *builder) errorPage(at *place, to string) (*respond.Page, error) {
	if path, isFile := strings.CutPrefix(to, "file:"); isFile {
		return &respond.Page{Body: b.plan.Pages[path], Type: pageType(path)}, nil
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
	text, err := at.textWith("error_pages", to, scope)
	return &respond.Page{To: text}, err
}

// layerOfApp tells the pages of errors that an app answers.
func layerOfApp(_ *builder, at *place, next http.Handler) (http.Handler, error) {
	r := at.route
	if len(at.site.ErrorPages) == 0 || r.Files != nil || r.Respond != nil || r.Redirect != nil || r.Status || r.Health {
		return next, nil
	}
	return respond.OfApp(next), nil
}
