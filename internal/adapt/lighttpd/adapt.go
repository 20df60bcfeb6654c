// Package lighttpd makes a millrace.toml of a lighttpd.conf.
package lighttpd

import (
	"path/filepath"
	"strconv"

	"millrace/internal/adapt/document"
)

// Adapt reads a configuration, with all that it includes.
func Adapt(path string, o document.Options) (*document.Document, error) {
	p := &parser{options: o, document: document.New(), problems: new(document.Problems)}
	p.parse(path)
	if err := p.problems.Err(); err != nil {
		return nil, err
	}
	l := &lowering{parser: p}
	l.run()
	return p.document, p.problems.Err()
}

type lowering struct{ *parser }

func (l *lowering) run() {
	top := l.blocks[0]
	site := l.document.Append("site", top.at)
	port := int64(80)
	if s := top.byName["server.port"]; s != nil {
		port = s.value.number
		site.Set("listen", []string{":" + strconv.FormatInt(port, 10)}, s.at)
	}
	for _, s := range top.settings {
		switch s.name {
		case "server.port":
		case "server.document-root":
			root, err := filepath.Abs(s.value.text)
			if err != nil {
				l.problems.Add(s.at, err.Error(), "")
			}
			site.Set("root", document.Literal(root), s.at)
		default:
			l.problems.Add(s.at, s.name+" is not carried over", "leave it out")
		}
	}
	for _, b := range l.blocks[1:] {
		l.problems.Add(b.at, "a condition is not carried over", "leave it out")
	}
}
