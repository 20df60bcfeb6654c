package testkit

import (
	"bytes"
	"regexp"
	"sync"
)

// Output is what a program has printed so far. It is read while the program
// prints.
type Output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// Has reports whether an expression matches in it.
func (o *Output) Has(re *regexp.Regexp) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return re.Match(o.text.Bytes())
}

// Tail is the end of a long text.
func Tail(s string) string {
	const most = 4000
	if len(s) > most {
		return "…" + s[len(s)-most:]
	}
	return s
}
