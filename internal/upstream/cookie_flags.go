package upstream

// The flags of cookies that back ends set: Secure, HttpOnly, SameSite. nginx calls
// it proxy_cookie_flags.

import (
	"slices"
	"strings"
)

// cookieFlag is what a word of a rule does: it leaves an attribute out, and puts
// another in its place, or none.
type cookieFlag struct{ attribute, becomes string }

var cookieFlags = map[string]cookieFlag{
	"secure": {"secure", "Secure"}, "nosecure": {"secure", ""},
	"httponly": {"httponly", "HttpOnly"}, "nohttponly": {"httponly", ""},
	"samesite=strict": {"samesite", "SameSite=Strict"}, "samesite=lax": {"samesite", "SameSite=Lax"},
	"samesite=none": {"samesite", "SameSite=None"}, "nosamesite": {"samesite", ""},
}

// CookieFlag reports whether a word is one of a rule of Reverse.CookieFlags, whose
// To is such words with blanks between.
func CookieFlag(word string) bool {
	_, is := cookieFlags[strings.ToLower(word)]
	return is
}

// cookieFlags has a Set-Cookie header have the flags of the first rule for its name.
func (v *reverse) cookieFlags(value string) string {
	pair, attributes, _ := strings.Cut(value, ";")
	name, _, _ := strings.Cut(pair, "=")
	name = strings.Trim(name, " \t")
	i := slices.IndexFunc(v.CookieFlags, func(r ReverseRule) bool {
		if r.Regexp != nil {
			return r.Regexp.MatchString(name)
		}
		return strings.EqualFold(r.From, name)
	})
	if i < 0 {
		return value
	}
	parts := []string{pair}
	if attributes != "" {
		parts = append(parts, strings.Split(attributes, ";")...)
	}
	for word := range strings.FieldsSeq(v.CookieFlags[i].To) {
		flag := cookieFlags[strings.ToLower(word)]
		rest := slices.DeleteFunc(parts[1:], func(attribute string) bool {
			of, _, _ := strings.Cut(attribute, "=")
			return strings.EqualFold(strings.Trim(of, " \t"), flag.attribute)
		})
		if parts = parts[:1+len(rest)]; flag.becomes != "" {
			parts = append(parts, " "+flag.becomes)
		}
	}
	return strings.Join(parts, ";")
}
