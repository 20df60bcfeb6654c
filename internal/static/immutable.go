package static

import (
	"path"
	"strings"
)

// HashedName says whether a path's name holds a hash of what is in the file, as
// build tools put it there: app.3f2a91bc.js, logo-0a1b2c3d4e5f.svg, the
// manifest storage of Django. A hash is 8 to 64 hexadecimal digits in lower
// case, with a letter and a digit among them, so that neither a date
// (report-20240115.pdf) nor a word is one; it follows a dot, a dash or an
// underscore, and an extension follows it.
func HashedName(urlPath string) bool {
	name := path.Base(urlPath)
	for rest := name; ; {
		i := strings.IndexAny(rest, ".-_")
		if i < 0 {
			return false
		}
		rest = rest[i+1:]
		end := strings.IndexAny(rest, ".-_")
		if end >= 0 && rest[end] == '.' && isHash(rest[:end]) && len(rest) > end+1 {
			return true
		}
	}
}

func isHash(s string) bool {
	if len(s) < 8 || len(s) > 64 {
		return false
	}
	var digit, letter bool
	for i := range len(s) {
		switch c := s[i]; {
		case '0' <= c && c <= '9':
			digit = true
		case 'a' <= c && c <= 'f':
			letter = true
		default:
			return false
		}
	}
	return digit && letter
}
