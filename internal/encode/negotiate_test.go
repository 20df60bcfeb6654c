package encode

import (
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestNegotiate(t *testing.T) {
	all := []string{Zstd, Brotli, Gzip}
	for _, tt := range []struct {
		name      string
		accept    []string
		available []string
		coding    string
		refused   bool
	}{
		{"no header", nil, all, "", false},
		{"an empty header", []string{""}, all, "", false},
		{"a browser", []string{"gzip, deflate, br, zstd"}, all, Zstd, false},
		{"an older browser", []string{"gzip, deflate, br"}, all, Brotli, false},
		{"an old one", []string{"gzip,deflate"}, all, Gzip, false},
		{"several headers", []string{"gzip", "br"}, all, Brotli, false},
		{"the client's order is none", []string{"gzip, zstd"}, all, Zstd, false},
		{"our order", []string{"gzip, zstd"}, []string{Gzip, Zstd}, Gzip, false},
		{"quality", []string{"zstd;q=0.5, gzip;q=0.8"}, all, Gzip, false},
		{"quality with blanks", []string{" zstd ; q=0.5 ,\tgzip;Q=0.8"}, all, Gzip, false},
		{"a refused one", []string{"zstd;q=0, gzip"}, all, Gzip, false},
		{"refused by three zeros", []string{"zstd;q=0.000, gzip"}, all, Gzip, false},
		{"nothing but a refusal", []string{"gzip;q=0"}, all, "", false},
		{"any", []string{"*"}, all, Zstd, false},
		{"any but", []string{"*, zstd;q=0"}, all, Brotli, false},
		{"any, less than one that is named", []string{"*;q=0.1, gzip"}, all, Gzip, false},
		{"none but", []string{"*;q=0, gzip;q=0.1"}, all, Gzip, true},
		{"none at all", []string{"*;q=0"}, all, "", true},
		{"identity alone", []string{"identity"}, all, "", false},
		{"identity is better", []string{"gzip;q=0.5, identity"}, all, "", false},
		{"identity is as good", []string{"gzip;q=0.5, identity;q=0.5"}, all, Gzip, false},
		{"identity is as good as any", []string{"gzip;q=0.2, *;q=0.5"}, []string{Gzip}, "", false},
		{"identity is refused", []string{"gzip;q=0.001, identity;q=0"}, all, Gzip, true},
		{"identity is refused, with nothing else", []string{"identity;q=0"}, all, "", true},
		{"identity is refused, with nothing that we have", []string{"compress, identity;q=0"}, all, "", true},
		{"identity in spite of *", []string{"identity;q=0.5, *;q=0"}, all, "", false},
		{"case", []string{"GZip"}, all, Gzip, false},
		{"its old name", []string{"x-gzip"}, all, Gzip, false},
		{"twice: the lower counts", []string{"gzip, gzip;q=0"}, all, "", false},
		{"a name that begins alike", []string{"gzipped, brr"}, all, "", false},
		{"empty elements", []string{",, ,gzip,"}, all, Gzip, false},
		{"a bad quality", []string{"gzip;q=x, br;q=2, zstd;q=-1"}, all, "", false},
		{"a quality above one", []string{"gzip;q=1.001"}, all, "", false},
		{"an empty quality", []string{"gzip;q="}, all, "", false},
		{"no quality but a parameter", []string{"gzip;level=9"}, all, "", false},
		{"too many digits", []string{"gzip;q=0.12345"}, all, Gzip, false},
		{"nothing available", []string{"gzip"}, nil, "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			coding, refused := Negotiate(tt.accept, tt.available...)
			if coding != tt.coding || refused != tt.refused {
				t.Errorf("%q, %v; want %q, %v", coding, refused, tt.coding, tt.refused)
			}
		})
	}
}

func TestNegotiateAllocatesNothing(t *testing.T) {
	accept, available := []string{"gzip, deflate, br;q=0.9, zstd"}, []string{Zstd, Brotli, Gzip}
	if n := testing.AllocsPerRun(100, func() { Negotiate(accept, available...) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

var elements = regexp.MustCompile(`^[ \t]*([^; \t]+)[ \t]*(?:;[ \t]*[qQ]=(0(?:\.[0-9]*)?|1(?:\.0*)?)[ \t]*)?$`)

// reference is Negotiate as the RFC tells it, without any care for speed.
func reference(accept, available []string) (string, bool) {
	quality := map[string]float64{}
	for _, element := range strings.Split(strings.Join(accept, ","), ",") {
		m := elements.FindStringSubmatch(element)
		if m == nil {
			continue
		}
		name, q := strings.ToLower(m[1]), 1.0
		if name == "x-gzip" {
			name = Gzip
		}
		if m[2] != "" {
			digits := m[2]
			if len(digits) > 5 {
				digits = digits[:5]
			}
			q, _ = strconv.ParseFloat(digits, 64)
		}
		if old, ok := quality[name]; !ok || q < old {
			quality[name] = q
		}
	}
	of := func(name string) (float64, bool) {
		q, ok := quality[name]
		if !ok && name != "*" {
			q, ok = quality["*"]
		}
		return q, ok
	}
	identity, told := of("identity")
	refused := told && identity == 0
	if !told {
		identity = 0.0001 // any coding that is named is more welcome
	}
	type choice struct {
		name string
		q    float64
	}
	var choices []choice
	for _, a := range available {
		if q, ok := of(a); ok && q > 0 && q >= identity {
			choices = append(choices, choice{a, q})
		}
	}
	slices.SortStableFunc(choices, func(a, b choice) int {
		switch {
		case a.q > b.q:
			return -1
		case a.q < b.q:
			return 1
		}
		return 0
	})
	if len(choices) == 0 {
		return "", refused
	}
	return choices[0].name, refused
}

// TestNegotiateLikeReference makes headers of the words that matter.
func TestNegotiateLikeReference(t *testing.T) {
	words := []string{
		"gzip", "br", "zstd", "x-gzip", "GZIP", "identity", "*", "deflate", ",", ",", ",", ";", ";q=", ";q=", "q=", "0", "1", "0.5", "0.25",
		"0.001", "1.0", "1.001", "0.", ".", " ", "\t", "=",
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		accept := make([]string, 1+rng.IntN(2))
		for i := range accept {
			for range rng.IntN(12) {
				accept[i] += words[rng.IntN(len(words))]
			}
		}
		agree(t, accept)
	}
}

func agree(t *testing.T, accept []string) {
	t.Helper()
	for _, available := range [][]string{{Zstd, Brotli, Gzip}, {Gzip, Zstd}, {Brotli}} {
		coding, refused := Negotiate(accept, available...)
		if c, r := reference(accept, available); coding != c || refused != r {
			t.Fatalf("%q with %q: %q, %v; the reference says %q, %v", accept, available, coding, refused, c, r)
		}
	}
}

func FuzzNegotiate(f *testing.F) {
	for _, s := range []string{"", "gzip, deflate, br, zstd", "*;q=0, gzip;q=0.5", "identity;q=0", "x-gzip;q=1.000", "br;q=0.1234,, ,gzip;q=", "gzip;q=1.5"} {
		f.Add(s, "br;q=0")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		if strings.ContainsFunc(a+b, func(r rune) bool { return r < ' ' && r != '\t' || r >= 0x7f }) {
			return // no header holds it
		}
		agree(t, []string{a, b})
		agree(t, []string{a})
	})
}
