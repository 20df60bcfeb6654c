package pcre

// Negative look-ahead, said without it.

import (
	"regexp"
	"slices"
	"strings"
)

// withoutLookAhead takes negative look-aheads out of an expression. Those that it
// cannot say otherwise stay.
func withoutLookAhead(expr string, ways Ways) (text, except string) {
	for {
		at, inside := lastLookAhead(expr)
		if at < 0 || inside {
			return expr, except
		}
		end := groupEnd(expr, at)
		if end < 0 || repeated(expr[end+1:]) {
			return expr, except
		}
		before, of, rest := expr[:at], expr[at+3:end], expr[end+1:]
		if start, ok := fixed(before); ok && ways&Except != 0 && except == "" && always(rest) {
			expr, except = before+rest, start+"(?:"+of+")"
			continue
		}
		words, ok := literals(of)
		if !ok {
			return expr, except
		}
		tail, all := strings.CutPrefix(rest, ".*")
		switch {
		case all && !repeated(tail) && endsThere(expr, tail):
			expr = before + otherThan(words, true, "") + rest
		case all && !repeated(tail) && goesOnOtherwise(tail, words):
			expr = before + otherThan(words, false, ".*") + tail
		case rest == "" && ways&Longer != 0:
			expr = before + otherThan(words, true, "")
		default:
			return expr, except
		}
	}
}

// lastLookAhead is the place of the last negative look-ahead, and whether it is
// inside another one; -1: there is none.
func lastLookAhead(expr string) (at int, inside bool) {
	at = -1
	var open []bool // groups, and whether they are look-aheads
	for i, c := range structure(expr) {
		switch c {
		case '(':
			ahead := strings.HasPrefix(expr[i:], "(?!")
			if ahead {
				at, inside = i, slices.Contains(open, true)
			}
			open = append(open, ahead)
		case ')':
			if len(open) > 0 {
				open = open[:len(open)-1]
			}
		}
	}
	return at, inside
}

// fixed returns the text that comes before a place, without groups that begin at
// the place, if the place is always the same: behind "^" and literals.
func fixed(before string) (string, bool) {
	for strings.HasSuffix(before, "(") && !strings.HasSuffix(before, `\(`) {
		before = before[:len(before)-1]
	}
	if !strings.HasPrefix(before, "^") {
		return "", false
	}
	for i := 1; i < len(before); i++ {
		if before[i] == '\\' && i+1 < len(before) && before[i+1] < 0x80 && !isWord(before[i+1]) {
			i++
			continue
		}
		if !isWord(before[i]) && strings.IndexByte("/-_%,;:=@~! ", before[i]) < 0 {
			return "", false
		}
	}
	return before, true
}

// always reports whether every match has what stands before the rest of an
// expression: none of the groups around it is repeated or one of several.
func always(rest string) bool {
	depth, outer := 0, 0
	for i, c := range structure(rest) {
		switch c {
		case '(':
			depth++
		case ')':
			if depth--; depth < outer {
				outer = depth
				if repeated(rest[i+1:]) {
					return false
				}
			}
		case '|':
			if depth == outer {
				return false
			}
		}
	}
	return true
}

// multiline is where "$" may match before a line feed.
var multiline = regexp.MustCompile(`\(\?[A-Za-z]*m`)

// endsThere reports whether the tail of an expression says no more of the text, or
// no more than that it ends.
func endsThere(expr, tail string) bool {
	for tail != "" {
		switch {
		case tail[0] == ')':
			tail = tail[1:]
			if repeated(tail) {
				return false
			}
		case tail[0] == '|':
			tail = tail[groupRest(tail):]
		case tail[0] == '$':
			return !repeated(tail[1:]) && !multiline.MatchString(expr)
		case strings.HasPrefix(tail, `\z`):
			return !repeated(tail[2:])
		default:
			return false
		}
	}
	return true
}

// groupRest is the place where the group ends that is open at the beginning.
func groupRest(tail string) int {
	depth := 0
	for i, c := range structure(tail) {
		switch c {
		case '(':
			depth++
		case ')':
			if depth--; depth < 0 {
				return i
			}
		}
	}
	return len(tail)
}

// goesOnOtherwise reports whether the tail of an expression begins with a
// character that is in none of some words.
func goesOnOtherwise(tail string, words []string) bool {
	for strings.HasPrefix(tail, ")") {
		tail = tail[1:]
	}
	if strings.HasPrefix(tail, `\`) {
		if tail = tail[1:]; tail == "" || isWord(tail[0]) {
			return false
		}
	} else if tail == "" || strings.IndexByte(`^$.|?*+()[]{}`, tail[0]) >= 0 {
		return false
	}
	c, rest := tail[:1], tail[1:]
	if c[0] >= 0x80 || repeated(rest) && rest[0] != '+' {
		return false
	}
	return !slices.ContainsFunc(words, func(w string) bool { return strings.Contains(strings.ToLower(w), strings.ToLower(c)) })
}

// literals are the words of an expression that is some words with "|" between.
func literals(expr string) (words []string, ok bool) {
	if inner, found := strings.CutPrefix(expr, "(?:"); found {
		if expr, found = strings.CutSuffix(inner, ")"); !found {
			return nil, false
		}
	}
	for part := range strings.SplitSeq(expr, "|") {
		var word strings.Builder
		for i := 0; i < len(part); i++ {
			c := part[i]
			if c == '\\' && i+1 < len(part) && part[i+1] < 0x80 && !isWord(part[i+1]) {
				i++
				word.WriteByte(part[i])
				continue
			}
			if !isWord(c) && c != '-' && c != '/' {
				return nil, false
			}
			word.WriteByte(c)
		}
		if word.Len() == 0 || word.Len() > 40 {
			return nil, false
		}
		words = append(words, word.String())
	}
	return words, len(words) <= 10
}

// otherThan matches the beginning of a text that begins with none of some words:
// another byte than any of them goes on with, and then more, or one of these and
// so on. Where whole says so, it goes to the end of a text that is shorter;
// otherwise it may end at each of its bytes.
func otherThan(words []string, whole bool, more string) string {
	next := map[byte][]string{}
	var order []byte
	for _, w := range words {
		if next[w[0]] == nil {
			order = append(order, w[0])
		}
		next[w[0]] = append(next[w[0]], w[1:])
	}
	class := ""
	var deeper []string
	for _, c := range order {
		q := regexp.QuoteMeta(string(c))
		if c == '-' {
			class += `\-`
		} else {
			class += q
		}
		if !slices.Contains(next[c], "") { // else a word is whole
			deeper = append(deeper, q+otherThan(next[c], whole, more))
		}
	}
	all := append([]string{"[^" + class + "]" + more}, deeper...)
	if whole {
		return "(?:" + strings.Join(append([]string{`\z`}, all...), "|") + ")"
	}
	return "(?:" + strings.Join(all, "|") + ")?"
}
