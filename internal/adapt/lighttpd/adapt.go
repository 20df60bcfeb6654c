// Package lighttpd makes a millrace.toml of a lighttpd.conf.
//
// The file is read as lighttpd reads it (lex.go, parse.go, expression.go, include.go): variables are
// replaced and files included on the way, and what is left is blocks: the settings
// outside of conditions, and those of each condition, in the order of their first
// lines. For a request lighttpd takes of each setting that of the last block whose
// conditions hold.
//
// Here routes are tried in order, and the first that matches answers. So requests are
// parted into cases (atom.go): those for which the same blocks hold. What parts them by
// address, scheme and host makes sites (lower.go), what parts them by anything else makes
// conditions of routes (route.go). Of two cases that a condition parts, the routes of
// the one where it holds come first, and the last of these takes all that is left
// to it: so that it does not hold for the other needs no words. Conditions that exclude
// one another by their texts make no case together.
//
// In a case the routes stand in the order in which lighttpd asks its modules:
// rewriting (rewrite.go), redirects and refusals, gateways that look at no file
// (gateway.go, upstream.go, app.go), aliases, users' folders and the document root, and in these scripts,
// programs and files (handle.go, files.go, vhost.go). What is said of all answers is put
// around each (decorate.go).
//
// directives.go has every directive: whether it is carried over, has no meaning here
// (then a comment says why), or cannot be had (then that is an error).
package lighttpd

import "millrace/internal/adapt/document"

// Adapt reads a configuration, with all that it includes. The error is a
// config.Errors of all that cannot be carried over.
func Adapt(path string, o document.Options) (*document.Document, error) {
	p := &parser{options: o, document: document.New(), problems: new(document.Problems)}
	p.parse(path)
	if err := p.problems.Err(); err != nil {
		return nil, err
	}
	l := &lowering{parser: p}
	l.run()
	if err := p.problems.Err(); err != nil {
		return nil, err
	}
	return p.document, nil
}
