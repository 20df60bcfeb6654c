package apache

// Media types of files: to the letter, as Apache adds no charset by itself.

import (
	"bytes"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"millrace/internal/adapt/document"
)

// commonTypes are those of mime.types that sites have: the rest are there if
// TypesConfig names the file, and files have them.
const commonTypes = `
text/html html htm
text/css css
text/javascript js mjs
text/plain txt
text/csv csv
text/markdown md
text/calendar ics
text/vtt vtt
application/xml xml
application/json json
application/manifest+json webmanifest
application/atom+xml atom
application/xhtml+xml xhtml
application/wasm wasm
application/pdf pdf
application/zip zip
application/gzip gz
application/x-tar tar
application/vnd.ms-fontobject eot
image/svg+xml svg svgz
image/png png
image/jpeg jpg jpeg
image/gif gif
image/webp webp
image/avif avif
image/vnd.microsoft.icon ico
font/woff woff
font/woff2 woff2
font/ttf ttf
font/otf otf
video/mp4 mp4
video/webm webm
audio/mpeg mp3
audio/ogg ogg oga
audio/flac flac
audio/x-wav wav
audio/mp4 m4a
video/quicktime mov
video/x-msvideo avi
video/x-matroska mkv
video/ogg ogv
image/bmp bmp
image/tiff tif tiff
application/rtf rtf
application/epub+zip epub
application/msword doc
application/vnd.ms-excel xls
application/vnd.ms-powerpoint ppt
application/vnd.openxmlformats-officedocument.wordprocessingml.document docx
application/vnd.openxmlformats-officedocument.spreadsheetml.sheet xlsx
application/vnd.openxmlformats-officedocument.presentationml.presentation pptx
application/vnd.oasis.opendocument.text odt
application/vnd.oasis.opendocument.spreadsheet ods
application/java-archive jar
application/vnd.debian.binary-package deb
application/vnd.android.package-archive apk
application/x-7z-compressed 7z
application/x-xz xz
application/x-bzip bz2
application/x-gtar-compressed tgz
application/x-iso9660-image iso
`

// knownTypes are the types of extensions: the common ones, and those of
// TypesConfig that files of the site have.
func (l *lowering) knownTypes(s *site) pairs {
	var p pairs
	read := func(text []byte, wanted func(ext string) bool, at document.Place) {
		for line := range bytes.Lines(text) {
			fields := strings.Fields(string(line))
			if len(fields) < 2 || fields[0][0] == '#' {
				continue
			}
			for _, ext := range fields[1:] {
				if ext = strings.ToLower(ext); wanted(ext) {
					p.set("."+ext, fields[0], at)
				}
			}
		}
	}
	read([]byte(commonTypes), func(string) bool { return true }, document.Place{})
	d := s.last("typesconfig")
	if d == nil {
		return p
	}
	text, err := document.Read(l.path(d.arg(0)))
	if err != nil {
		l.refuse(d, "could not open mime types config file "+l.path(d.arg(0))+": "+err.Error(), "check the path and its rights")
		return p
	}
	seen := l.extensionsIn(s)
	read(text, func(ext string) bool { return seen[ext] || p.get("."+ext) != nil }, d.place)
	return p
}

// extensionsIn are those of the files that a site has.
func (l *lowering) extensionsIn(s *site) map[string]bool {
	seen := map[string]bool{}
	budget := 20000
	for _, m := range s.mappings {
		if m.kind != isFiles || m.folder == "" {
			continue
		}
		folders, _ := l.foldersBelow(m.folder, &budget)
		for _, folder := range folders {
			files, _ := filepath.Glob(filepath.Join(escapeGlob(folder), "*.*"))
			for _, f := range files {
				seen[extension(filepath.Ext(f))] = true
			}
		}
	}
	return seen
}

func escapeGlob(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

// mediaTypes are the types of files where some directives hold.
func (l *lowering) mediaTypes(c *conf) *document.Table {
	t := document.Inline()
	charset := ""
	if c.charset != nil {
		if charset = "; charset=" + strings.ToLower(c.charset.arg(0)); strings.EqualFold(c.charset.arg(0), "on") {
			charset = "; charset=iso-8859-1"
		}
	}
	set := func(name, kind string, at document.Place) {
		if d := c.charsets[strings.TrimPrefix(name, ".")]; name != "" && d != nil {
			if strings.Contains(strings.ToLower(kind), "charset=") {
				l.refuse(d, "AddCharset of "+name+", whose type has a charset", "write one of the two")
				return
			}
			t.Set(name, kind+"; charset="+strings.ToLower(d.arg(0)), d.place)
			return
		}
		if (kind == "text/html" || kind == "text/plain") && charset != "" {
			kind += charset
		}
		t.Set(name, kind, at)
	}
	if c.forceType != nil { // whatever AddCharset says
		set("", c.forceType.arg(0), c.forceType.place)
		return t
	}
	for _, p := range l.site.types {
		if kind, ok := p.value.(string); ok {
			set(p.name, kind, p.at)
		}
	}
	for _, ext := range sortedKeys(c.types) {
		if d := c.types[ext]; handlerName(d) != "php" {
			set("."+ext, d.arg(0), d.place)
		}
	}
	t.Set("", "", document.Place{}) // others have none
	l.charsetsOfNames(c, t)
	return t
}

// charsetsOfNames refuses charsets of extensions that say nothing of the type, if
// files have them: the type of such a file goes by the extension before it.
func (l *lowering) charsetsOfNames(c *conf, t *document.Table) {
	var seen map[string]bool
	for _, ext := range sortedKeys(c.charsets) {
		if t.Get("."+ext) != nil || c.handlerOf(ext) != nil || ext == "php" { // a program says itself what it answers
			continue
		}
		if seen == nil {
			seen = l.extensionsIn(l.site)
		}
		d := c.charsets[ext]
		if seen[ext] {
			l.refuse(d, "AddCharset of ."+ext+", which says nothing of the type: the type of a file goes by its last extension alone", "write AddType 'text/html; charset="+strings.ToLower(d.arg(0))+"' ."+ext+", or rename the files")
		} else {
			l.site.note(d, "no file has the extension ."+ext)
		}
	}
}

// ownTypes are the types of a tree of files, where they are not the site's.
func (l *lowering) ownTypes(c *conf, f *pairs) {
	base := l.site.base
	same := c.forceType == base.forceType && c.charset == base.charset && len(c.types) == len(base.types) && maps.Equal(c.charsets, base.charsets)
	for ext, d := range c.types {
		same = same && (base.types[ext] == d || handlerName(d) == "php")
	}
	if !same {
		at := c.forceType
		if at == nil {
			at = c.charset
		}
		for _, ext := range sortedKeys(c.types) {
			if at == nil {
				at = c.types[ext]
			}
		}
		for _, ext := range sortedKeys(c.charsets) {
			if at == nil {
				at = c.charsets[ext]
			}
		}
		f.set("types", l.mediaTypes(c), placeOf(at))
	}
}

// hasFiles reports whether a site serves files.
func (s *site) hasFiles() bool {
	return slices.ContainsFunc(s.mappings, func(m *mapping) bool {
		return (m.kind == isFiles || m.kind == isVirtual || m.kind == isUserDir) && (m.folder != "" || m.kind != isFiles)
	})
}
