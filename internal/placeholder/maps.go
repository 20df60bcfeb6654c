package placeholder

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
)

// Map is a table from a text to a text: [site.map.NAME]. It does not change.
type Map struct {
	from     *Text
	exact    map[string]string
	patterns []pattern
	def      string
}

type pattern struct {
	re   *regexp.Regexp
	text string
}

// Entry is one line of a Map: a key as it is, or "~" and a regexp.
type Entry struct{ Key, Value string }

// NewMap makes a table. From is looked up as it is among the keys, then by the
// patterns in their order; what none has is def. The search takes the same
// time however many keys there are.
func NewMap(from *Text, entries []Entry, def string) (*Map, error) {
	m := &Map{from: from, exact: make(map[string]string), def: def}
	for _, e := range entries {
		expr, isPattern := strings.CutPrefix(e.Key, "~")
		if !isPattern {
			m.exact[e.Key] = e.Value
			continue
		}
		re, err := regexp.Compile(expr)
		if err != nil {
			return nil, fmt.Errorf("key %q: %w", show(e.Key), err)
		}
		m.patterns = append(m.patterns, pattern{re, e.Value})
	}
	return m, nil
}

// NoMap is a table of nothing, whatever is looked up.
func NoMap() *Map { return &Map{from: &Text{}} }

func (m *Map) append(dst []byte, r *http.Request, with any) []byte {
	n := len(dst)
	dst = m.from.AppendWith(dst, r, with)
	return append(dst[:n], m.lookup(dst[n:])...)
}

func (m *Map) lookup(from []byte) string {
	if v, ok := m.exact[string(from)]; ok {
		return v
	}
	for i := range m.patterns {
		if m.patterns[i].re.Match(from) {
			return m.patterns[i].text
		}
	}
	return m.def
}
