package static

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html"
	"net/url"
	"strconv"
	"strings"
	"sync"
)

// pageStyle is the look of a listing. It is in the page itself: one request
// shows it all, and no path of the site is taken for it.
//
//go:embed listing.css
var pageStyle string

// pageIcons are the pictures of the kinds of entries, drawn by <use>.
//
//go:embed listing_icons.svg
var pageIcons string

// pagePolicy lets a listing have its own style and nothing else: no script
// runs there, whatever the names of files are.
var pagePolicy = sync.OnceValue(func() string {
	sum := sha256.Sum256([]byte(pageStyle))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; form-action 'self'; base-uri 'none'"
})

// writer writes HTML: text is escaped, markup is not.
type writer struct{ bytes.Buffer }

// put writes pieces, every second of them text to be escaped: markup, text,
// markup, and so on.
func (w *writer) put(pieces ...string) {
	for i, s := range pieces {
		if i%2 == 1 {
			s = html.EscapeString(strings.ToValidUTF8(s, "\uFFFD"))
		}
		w.WriteString(s)
	}
}

// html is a listing for people. standard is the order that needs no query.
func (p *page) html(standard string, types *Types) []byte {
	w := &writer{}
	w.Grow(8<<10 + 400*len(p.items))
	w.put(`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<title>`, p.path, `</title>
<style>`)
	w.WriteString(pageStyle)
	w.put("</style>\n</head>\n<body>\n")
	w.WriteString(pageIcons)
	w.put("<main>\n")
	p.heading(w, standard)
	if p.query != "" || p.folders+p.files > 20 {
		p.search(w, standard)
	}
	if !p.whole {
		w.put(`<p class="note" role="status">This folder is very large: only some of its entries are shown.</p>` + "\n")
	}
	switch {
	case len(p.items) > 0 || p.path != p.top:
		p.table(w, standard, types)
		fallthrough
	default:
		p.footer(w, standard)
	}
	w.put("</main>\n</body>\n</html>\n")
	return w.Bytes()
}

// query is what a link within the listing says: "" or "?…".
func (p *page) link(standard, sort, query string, number int) string {
	values := url.Values{}
	if sort != standard {
		values.Set("sort", sort)
	}
	if query != "" {
		values.Set("q", query)
	}
	if number > 1 {
		values.Set("page", strconv.Itoa(number))
	}
	if len(values) == 0 {
		return "./"
	}
	return "./?" + values.Encode()
}

// keep is the order of this page for a folder that is linked from it.
func (p *page) keep(standard string) string {
	return strings.TrimPrefix(p.link(standard, p.sort, "", 1), "./")
}

func (p *page) heading(w *writer, standard string) {
	w.put(`<nav aria-label="Folders"><h1>`)
	all := p.crumbs()
	for i, c := range all {
		if i > 0 {
			w.put(`<span class="sep" aria-hidden="true">/</span>`)
		}
		if i == len(all)-1 {
			w.put(`<span aria-current="page">`, c.name, `</span>`)
		} else {
			w.put(`<a href="`, c.href+p.keep(standard), `">`, c.name, `</a>`)
		}
	}
	w.put("</h1></nav>\n")
}

func (p *page) search(w *writer, standard string) {
	w.put(`<form role="search" method="get" action="./"><input type="search" name="q" value="`, p.query,
		`" placeholder="Find in this folder" aria-label="Find in this folder" autocomplete="off" enterkeyhint="search">`)
	if p.sort != standard {
		w.put(`<input type="hidden" name="sort" value="`, p.sort, `">`)
	}
	w.put("<button>Find</button>")
	if p.query != "" {
		w.put(` <a class="clear" href="`, p.link(standard, p.sort, "", 1), `">Show all</a>`)
	}
	w.put("</form>\n")
}

// columns of the table: what sorts, what it is called, and which way at first.
var columns = [...]struct{ key, title, first string }{
	{"name", "Name", "name"}, {"size", "Size", "-size"}, {"time", "Modified", "-time"},
}

// Roles are said outright: the style sheet lays the table out as a grid, and
// some browsers then forget that it is one.
func (p *page) table(w *writer, standard string, types *Types) {
	w.put(`<table role="table"><caption>Contents of `, p.path, "</caption>\n"+`<thead role="rowgroup"><tr role="row">`)
	for _, c := range columns {
		sorted, to, mark := "none", c.first, ""
		if key, down := strings.CutPrefix(p.sort, "-"); key == c.key {
			if down {
				sorted, to, mark = "descending", c.key, "↓"
			} else {
				sorted, to, mark = "ascending", "-"+c.key, "↑"
			}
		}
		w.put(`<th role="columnheader" scope="col" class="`+c.key+`" aria-sort="`+sorted+`"><a href="`,
			p.link(standard, to, p.query, 1), `">`+c.title+`<span class="mark" aria-hidden="true">`+mark+"</span></a></th>")
	}
	w.put("</tr></thead>\n" + `<tbody role="rowgroup">` + "\n")
	if p.path != p.top {
		w.put(`<tr role="row"><td role="cell" class="name"><a href="`, "../"+p.keep(standard),
			`"><svg aria-hidden="true"><use href="#up"/></svg><span>Parent folder</span></a></td></tr>`+"\n")
	}
	for i := range p.items {
		p.row(w, &p.items[i], standard, types)
	}
	w.put("</tbody></table>\n")
}

func (p *page) row(w *writer, it *item, standard string, types *Types) {
	href, name, size := it.href(), it.name, ""
	if it.folder {
		href += p.keep(standard)
		name += "/"
	} else {
		size = sizeText(it.size)
	}
	text, iso := timeText(it.mtime)
	w.put(`<tr role="row"><td role="cell" class="name"><a href="`, href, `"><svg aria-hidden="true"><use href="#`+it.kind(types)+`"/></svg><span>`,
		name, `</span></a></td><td role="cell" class="size">`, size, `</td><td role="cell" class="time"><time datetime="`, iso, `">`, text, "</time></td></tr>\n")
}

func (p *page) footer(w *writer, standard string) {
	if len(p.items) == 0 {
		if p.query != "" {
			w.put(`<p class="empty">Nothing here is called “`, p.query, "”.</p>\n")
		} else {
			w.put(`<p class="empty">This folder is empty.</p>` + "\n")
		}
	}
	if p.pages > 1 {
		w.put(`<nav class="pages" aria-label="Pages">`)
		if p.number > 1 {
			w.put(`<a rel="prev" href="`, p.link(standard, p.sort, p.query, p.number-1), `">← Previous</a>`)
		} else {
			w.put(`<span></span>`)
		}
		w.put(`<span>Page `, strconv.Itoa(p.number), ` of `, strconv.Itoa(p.pages), `</span>`)
		if p.number < p.pages {
			w.put(`<a rel="next" href="`, p.link(standard, p.sort, p.query, p.number+1), `">Next →</a>`)
		} else {
			w.put(`<span></span>`)
		}
		w.put("</nav>\n")
	}
	w.put(`<footer><span>`, count(p.folders, "folder")+", "+count(p.files, "file"), `</span><span>Times are in UTC</span></footer>`+"\n")
}

func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return strconv.Itoa(n) + " " + what
}
