package encode

import "strings"

// The content codings, as Content-Encoding names them.
const (
	Gzip   = "gzip"
	Brotli = "br"
	Zstd   = "zstd"
)

// Negotiate chooses among the codings that are available, the best first, for
// a request whose Accept-Encoding headers are accept (RFC 9110, 12.5.3). The
// one with the highest quality wins; of several, the first that is available,
// and the identity only when nothing else is as welcome.
//
// It returns "" for the identity: nobody asked for a coding, or none that is
// available is welcome. refused says that the client does not take the
// identity either (identity;q=0): there is then nothing better than to send it
// all the same, as every server does. When a coding is returned, refused says
// that the identity would not have done.
//
// An element that is malformed counts as not there; of a coding that is named
// twice, the lower quality counts.
func Negotiate(accept []string, available ...string) (coding string, refused bool) {
	if len(accept) == 0 {
		return "", false
	}
	const none = -1
	star, identity := none, none
	var named [8]int // of the codings that are available, in thousandths
	if len(available) > len(named) {
		available = available[:len(named)]
	}
	for i := range available {
		named[i] = none
	}
	lower := func(q *int, to int) {
		if *q == none || to < *q {
			*q = to
		}
	}
	for _, value := range accept {
		for value != "" {
			var element string
			element, value, _ = strings.Cut(value, ",")
			name, quality, ok := acceptElement(element)
			switch {
			case !ok:
			case name == "*":
				lower(&star, quality)
			case strings.EqualFold(name, "identity"):
				lower(&identity, quality)
			default:
				if strings.EqualFold(name, "x-gzip") { // RFC 9110, 8.4.1.3
					name = Gzip
				}
				for i, a := range available {
					if strings.EqualFold(name, a) {
						lower(&named[i], quality)
					}
				}
			}
		}
	}
	if identity == none {
		identity = star
	}
	refused = identity == 0
	best := max(identity, 1) // a coding with quality 0 is refused
	for i, a := range available {
		q := named[i]
		if q == none {
			q = star
		}
		if q > best || q == best && coding == "" {
			coding, best = a, q
		}
	}
	return coding, refused
}

// acceptElement reads one element of Accept-Encoding: a coding and its quality
// in thousandths.
func acceptElement(s string) (name string, quality int, ok bool) {
	name, weight, weighted := strings.Cut(s, ";")
	name = trim(name)
	if name == "" || strings.ContainsAny(name, " \t") {
		return "", 0, false
	}
	if !weighted {
		return name, 1000, true
	}
	weight = trim(weight)
	if len(weight) < 3 || weight[0] != 'q' && weight[0] != 'Q' || weight[1] != '=' {
		return "", 0, false
	}
	quality, ok = parseQuality(weight[2:])
	return name, quality, ok
}

// parseQuality reads a qvalue in thousandths (RFC 9110, 12.4.2). Digits beyond
// the third, which the grammar has not, are taken and do not count.
func parseQuality(s string) (int, bool) {
	if s[0] != '0' && s[0] != '1' || len(s) > 1 && s[1] != '.' {
		return 0, false
	}
	q, unit := 1000*int(s[0]-'0'), 100
	for i := 2; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		q += int(s[i]-'0') * unit
		unit /= 10
	}
	return q, q <= 1000
}

func trim(s string) string { return strings.Trim(s, " \t") }
