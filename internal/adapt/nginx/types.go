package nginx

// Media types of files.

import (
	"slices"

	"millrace/internal/adapt/document"
)

// types is the table of a site, as nginx has it: to the letter, without a charset.
// A part of a configuration that says nothing of types is taken to stand where they
// are known, as they are here.
func (s *site) types() {
	if t, at, said := s.typesAt(s.level); said || s.a.whole {
		s.table.Set("types", t, at)
	}
}

// typesAt is the table that holds at a level. Said is whether the file has one.
func (s *site) typesAt(l *level) (t *document.Table, at document.Place, said bool) {
	t, at = document.Inline(), l.at
	blocks := l.find("types")
	rest := "text/plain"
	if d := l.last("default_type"); d != nil {
		rest, at, said = d.arg(0), d.at, true
	}
	if len(blocks) == 0 {
		if said && !s.a.whole { // only what is otherwise
			return t, at, false
		}
		for _, of := range [][2]string{{".html", "text/html"}, {".gif", "image/gif"}, {".jpg", "image/jpeg"}} {
			t.Set(of[0], of[1], at)
		}
	}
	for _, d := range blocks {
		at, said = d.at, true
		for _, line := range d.lines {
			for _, ext := range line[1:] {
				t.Set("."+ext.text, line[0].text, ext.at)
			}
		}
	}
	t.Set("", rest, at)
	return t, at, said
}

// typesOf is the table of files in a location that has one of its own.
func (s *site) typesOf(r *route, l *level) {
	loc := l.location()
	if loc.context != 'L' || slices.Equal(loc.find("types"), s.level.find("types")) && loc.last("default_type") == s.level.last("default_type") {
		return
	}
	files, is := r.get("files").(*document.Table)
	if t, at, said := s.typesAt(loc); is && said {
		files.Set("types", t, at)
	}
}
