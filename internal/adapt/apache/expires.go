package apache

// Expires by type, and times as Apache writes them.

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// expiring emits the routes of files, one for each time that ExpiresByType says.
func (l *lowering) expiring(a area, c *conf, on cond, guard, f pairs, b body) {
	if !c.expires {
		l.filesRoute(c, on, guard, f, b)
		return
	}
	type group struct {
		text string
		exts []string
		at   *directive
	}
	var groups []*group
	plain := ""
	if c.expiresAll != nil {
		plain, _ = l.expiry(c.expiresAll, c.expiresAll.arg(0))
	}
	for _, kind := range sortedKeys(c.expiresType) {
		d := c.expiresType[kind]
		text, ok := l.expiry(d, d.arg(1))
		if !ok || text == plain {
			continue
		}
		exts := extensionsOf(kind, c)
		if len(exts) == 0 {
			l.site.table.Comment(fmt.Sprintf("ExpiresByType %s: no extension of files is known that has this type", kind))
			continue
		}
		var g *group
		for _, one := range groups {
			if one.text == text {
				g = one
			}
		}
		if g == nil {
			g = &group{text: text, at: d}
			groups = append(groups, g)
		}
		g.exts = append(g.exts, exts...)
	}
	for _, g := range groups {
		slices.Sort(g.exts)
		of := on.clone()
		ok := of.match(`(?i)\.(?:` + strings.Join(slices.Compact(g.exts), "|") + `)$`)
		if !ok {
			l.refuse(g.at, "ExpiresByType beside several sections that are for some files", "write ExpiresDefault into the <FilesMatch>")
			continue
		}
		with := slices.Clone(f)
		with.set("expires", g.text, g.at.place)
		l.filesRoute(c, of, guard, with, b)
	}
	if plain != "" {
		f.set("expires", plain, c.expiresAll.place)
	}
	l.filesRoute(c, on, guard, f, b)
}

// extensionsOf are the extensions of a media type.
func extensionsOf(kind string, c *conf) []string {
	exts := slices.Clone(typeExtensions[kind])
	for _, ext := range sortedKeys(c.types) {
		if strings.EqualFold(c.types[ext].arg(0), kind) {
			exts = append(exts, quoteMeta(ext))
		}
	}
	return exts
}

// typeExtensions are the types that people name with ExpiresByType.
var typeExtensions = map[string][]string{
	"text/html": {"html?"}, "text/css": {"css"}, "text/plain": {"txt"}, "text/javascript": {"m?js"}, "application/javascript": {"m?js"}, "application/x-javascript": {"m?js"},
	"text/xml": {"xml"}, "application/xml": {"xml"}, "application/json": {"json"}, "application/pdf": {"pdf"}, "application/rss+xml": {"rss"}, "application/atom+xml": {"atom"},
	"image/jpeg": {"jpe?g"}, "image/jpg": {"jpe?g"}, "image/png": {"png"}, "image/gif": {"gif"}, "image/webp": {"webp"}, "image/avif": {"avif"}, "image/svg+xml": {"svgz?"},
	"image/x-icon": {"ico"}, "image/vnd.microsoft.icon": {"ico"}, "image/ico": {"ico"}, "image/icon": {"ico"}, "image/bmp": {"bmp"}, "image/tiff": {"tiff?"},
	"video/mp4": {"mp4"}, "video/webm": {"webm"}, "video/ogg": {"ogv"}, "video/mpeg": {"mpe?g"}, "audio/mpeg": {"mp3"}, "audio/ogg": {"og[ag]"}, "audio/wav": {"wav"},
	"font/woff": {"woff"}, "font/woff2": {"woff2"}, "font/ttf": {"ttf"}, "font/otf": {"otf"}, "application/font-woff": {"woff"}, "application/font-woff2": {"woff2"},
	"application/x-font-woff": {"woff"}, "application/x-font-ttf": {"ttf"}, "application/vnd.ms-fontobject": {"eot"}, "application/x-shockwave-flash": {"swf"},
	"application/zip": {"zip"}, "application/manifest+json": {"webmanifest"}, "text/x-component": {"htc"}, "text/vcard": {"vcf"}, "application/wasm": {"wasm"}, "text/cache-manifest": {"appcache"},
	"application/x-web-app-manifest+json": {"webapp"}, "application/geo+json": {"geojson"}, "application/ld+json": {"jsonld"}, "text/calendar": {"ics"}, "text/markdown": {"md"}, "font/opentype": {"otf"},
	"application/vnd.geo+json": {"geojson"}, "application/x-font-opentype": {"otf"}, "application/font-sfnt": {"[ot]tf"}, "audio/x-wav": {"wav"}, "video/quicktime": {"mov"}, "font/eot": {"eot"}, "font/truetype": {"ttf"},
}

// expiry is "access plus 1 month" as a duration.
func (l *lowering) expiry(d *directive, text string) (string, bool) {
	bad := func() (string, bool) {
		l.refuse(d, fmt.Sprintf("%s: bad expires code %s", d.known.name, short(text)), `write "access plus 1 month", or A2592000`)
		return "", false
	}
	fields := strings.Fields(text)
	if len(fields) == 1 && len(text) > 1 && (text[0] == 'A' || text[0] == 'M') {
		n, err := strconv.Atoi(text[1:])
		if err != nil {
			return bad()
		}
		if text[0] == 'M' {
			fields = []string{"modification"}
		} else {
			return seconds(n), true
		}
	}
	if len(fields) == 0 {
		return bad()
	}
	switch strings.ToLower(fields[0]) {
	case "access", "now":
	case "modification":
		l.refuse(d, d.known.name+": a time since the file was changed", "write one since access: a client is told how long, not until when")
		return "", false
	default:
		return bad()
	}
	fields = fields[1:]
	if len(fields) > 0 && strings.EqualFold(fields[0], "plus") {
		fields = fields[1:]
	}
	units := map[string]int{"year": 31536000, "month": 2592000, "week": 604800, "day": 86400, "hour": 3600, "minute": 60, "min": 60, "second": 1, "sec": 1}
	total := 0
	for len(fields) > 0 {
		if len(fields) < 2 {
			return bad()
		}
		n, err := strconv.Atoi(fields[0])
		unit := units[strings.TrimSuffix(strings.ToLower(fields[1]), "s")]
		if err != nil || unit == 0 || n < 0 || n > 1000000 {
			return bad()
		}
		total += n * unit
		fields = fields[2:]
	}
	return seconds(total), true
}

// seconds is a duration as it is read best.
func seconds(n int) string {
	switch {
	case n > 0 && n%86400 == 0:
		return strconv.Itoa(n/86400) + "d"
	case n > 0 && n%3600 == 0:
		return strconv.Itoa(n/3600) + "h"
	case n > 0 && n%60 == 0:
		return strconv.Itoa(n/60) + "m"
	}
	return strconv.Itoa(n) + "s"
}

// seconds is a time of a directive, in a unit that it may name itself.
func (l *lowering) seconds(d *directive, text, unit string) (string, bool) {
	number := strings.TrimRight(text, "abcdefghijklmnopqrstuvwxyz")
	if rest := text[len(number):]; rest != "" {
		unit = rest
	}
	if n, err := strconv.Atoi(number); err == nil && n >= 0 {
		switch unit {
		case "s":
			return strconv.Itoa(n) + "s", true
		case "ms":
			return (time.Duration(n) * time.Millisecond).String(), true
		case "m", "mi":
			return strconv.Itoa(n) + "m", true
		case "h":
			return strconv.Itoa(n) + "h", true
		}
	}
	l.refuse(d, fmt.Sprintf("%s: %s is no time", d.known.name, short(text)), "write seconds, or a number with ms, s, mi or h")
	return "", false
}
