package placeholder

import (
	"encoding/binary"
	"fmt"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Map is a table from a text to a text: [site.map.NAME]. It does not change.
type Map struct {
	from     *Text
	exact    map[string]*Text
	patterns []pattern
	def      *Text
	needs    Needs // of all texts
	foreign  bool  // a value begins with what a client says

	fold     bool                   // keys are in lower case, and so is what is looked up
	networks map[netip.Prefix]*Text // of addresses: the longest that has it; nil: another table
	lengths  [2][]int               // of the networks of IPv4 and IPv6, the longest first
	shares   []share                // of a table that parts texts; nil: another one
}

// share is the texts whose number is below a bound.
type share struct {
	below uint32
	text  *Text
}

// Networks makes a table of networks: what is looked up is an address, and the
// longest network that has it counts.
func Networks(from *Text, entries []Entry, def *Text) (*Map, error) {
	m := made(from, entries, def)
	m.networks = make(map[netip.Prefix]*Text)
	for _, e := range entries {
		p, err := ParseNetwork(e.Key)
		if err != nil {
			return nil, err
		}
		of := &m.lengths[0]
		if p.Addr().Is6() {
			of = &m.lengths[1]
		}
		m.networks[p] = e.Value
		if !slices.Contains(*of, p.Bits()) {
			*of = append(*of, p.Bits())
		}
	}
	for i := range m.lengths {
		slices.SortFunc(m.lengths[i], func(a, b int) int { return b - a })
	}
	return m, nil
}

// ParseNetwork reads "10.0.0.0/8" or "10.0.0.1".
func ParseNetwork(text string) (netip.Prefix, error) {
	if ip, err := netip.ParseAddr(text); err == nil {
		return netip.PrefixFrom(ip.Unmap(), ip.Unmap().BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return p, fmt.Errorf("%q is neither an address nor a network", show(text))
	}
	return p.Masked(), nil
}

// Split makes a table that parts texts at random, but the same text always alike:
// the keys are shares, "25%", and def has the rest. It is nginx's split_clients to
// the number.
func Split(from *Text, entries []Entry, def *Text) (*Map, error) {
	m := made(from, entries, def)
	m.shares = []share{}
	sum := 0
	for _, e := range entries {
		hundredths, err := ParseShare(e.Key)
		if err != nil {
			return nil, err
		}
		if sum += hundredths; sum > 10000 {
			return nil, fmt.Errorf("the shares are more than 100%% together")
		}
		m.shares = append(m.shares, share{uint32(uint64(sum) * 0xffffffff / 10000), e.Value})
	}
	return m, nil
}

// ParseShare reads "25%" or "0.5%", as hundredths of a percent.
func ParseShare(text string) (int, error) {
	number, isShare := strings.CutSuffix(text, "%")
	n, err := strconv.ParseFloat(number, 64)
	if !isShare || err != nil || !(n > 0 && n <= 100) {
		return 0, fmt.Errorf("%q is no share", show(text))
	}
	return int(n*100 + 0.5), nil
}

type pattern struct {
	re   *regexp.Regexp
	text *Text
}

// Entry is one line of a Map: a key as it is, or "~" and a regexp.
type Entry struct {
	Key   string
	Value *Text
}

// made is a table with a text for all that no entry has.
func made(from *Text, entries []Entry, def *Text) *Map {
	m := &Map{from: from, needs: from.needs, def: def}
	m.counts(def)
	for _, e := range entries {
		m.counts(e.Value)
	}
	return m
}

// counts notes what a value needs, and whose word it begins with.
func (m *Map) counts(value *Text) {
	m.needs |= value.needs
	if _, fixed := value.Constant(); !fixed && value.parts[0].what != scheme && !value.OwnStart() {
		m.foreign = true
	}
}

// NewMap makes a table. From is looked up as it is among the keys, then by the
// patterns in their order; what none has is def. The search takes the same
// time however many keys there are.
func NewMap(from *Text, entries []Entry, def *Text) (*Map, error) {
	return newMap(from, entries, def, false)
}

// NewFolded is NewMap for a table that does not mind the case of keys that are no
// patterns.
func NewFolded(from *Text, entries []Entry, def *Text) (*Map, error) {
	return newMap(from, entries, def, true)
}

func newMap(from *Text, entries []Entry, def *Text, fold bool) (*Map, error) {
	m := made(from, entries, def)
	m.exact, m.fold = make(map[string]*Text), fold
	for _, e := range entries {
		expr, isPattern := strings.CutPrefix(e.Key, "~")
		if !isPattern {
			if fold {
				e.Key = lower(e.Key)
			}
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

// NoMap is a table of nothing, whatever is looked up; of a header of the response
// or not.
func NoMap(ofResponse bool) *Map {
	m := &Map{from: &Text{}, def: &Text{}}
	if ofResponse {
		m.needs = NeedsResponse
	}
	return m
}

func (m *Map) append(dst []byte, r *http.Request, with any) []byte {
	return m.value(&dst, r, with).AppendWith(dst, r, with)
}

// value is what the table has for a request. Of dst, what is behind its end is used.
func (m *Map) value(dst *[]byte, r *http.Request, with any) *Text {
	n := len(*dst)
	*dst = m.from.AppendWith(*dst, r, with)
	found := m.lookup((*dst)[n:])
	*dst = (*dst)[:n]
	return found
}

func (m *Map) lookup(from []byte) *Text {
	switch {
	case m.networks != nil:
		return m.network(string(from))
	case m.shares != nil:
		n := murmur2(from)
		for _, s := range m.shares {
			if n < s.below {
				return s.text
			}
		}
		return m.def
	case m.fold:
		if v, ok := m.exact[lower(string(from))]; ok {
			return v
		}
	}
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

// network is the value of the longest network that has an address.
func (m *Map) network(text string) *Text {
	ip, err := netip.ParseAddr(text)
	if err != nil {
		return m.def
	}
	ip = ip.Unmap().WithZone("")
	lengths := m.lengths[0]
	if ip.Is6() {
		lengths = m.lengths[1]
	}
	for _, n := range lengths {
		p, err := ip.Prefix(n)
		if err != nil {
			continue
		}
		if v, ok := m.networks[p]; ok {
			return v
		}
	}
	return m.def
}

// murmur2 is MurmurHash2 of 32 bits with the seed 0, by Austin Appleby.
func murmur2(data []byte) uint32 {
	const m = 0x5bd1e995
	h := uint32(len(data))
	for len(data) >= 4 {
		k := binary.LittleEndian.Uint32(data) * m
		k = (k ^ k>>24) * m
		h = h*m ^ k
		data = data[4:]
	}
	for i := len(data) - 1; i >= 0; i-- {
		h ^= uint32(data[i]) << (8 * i)
		if i == 0 {
			h *= m
		}
	}
	h = (h ^ h>>13) * m
	return h ^ h>>15
}
