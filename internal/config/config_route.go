package config

// What a site says of its requests beside what answers them.

// Match is conditions on a request; all that are given must hold. In Header,
// Query and Cookie a value is the text itself, "~" and a regexp, or "*" for
// any that is there; "" is an empty or a missing one.
type Match struct {
	Path   string            // path: "/media/*" a prefix, "/favicon.ico" exact
	Regexp string            // regexp: Go syntax, on the decoded path
	URI    string            // uri: the same, on path and query, encoded; in place of Regexp
	Method Strings           // method: one of these; "GET" is HEAD as well
	Header map[string]string // header: by name
	Query  map[string]string // query: by name
	Cookie map[string]string // cookie: by name
	Client Strings           // client: addresses and networks, one of which is the client's
	Value  map[string]string // value: by text with placeholders
	Exists map[string]string // exists: "file", "folder", "any" or "none", by path with placeholders
	Not    *Match            // not: conditions that must not all hold; it has no Not of its own
}

// Match is the conditions of a route, but for those of Any.
func (r *Route) Match() Match {
	return Match{Path: r.Path, Regexp: r.Regexp, URI: r.URI, Method: r.Method, Header: r.Header, Query: r.Query, Cookie: r.Cookie, Client: r.Client, Value: r.Value, Exists: r.Exists, Not: r.Not}
}

// Rewrite changes the path, and the query, that the routes see.
type Rewrite struct {
	To     string // to: a path, and maybe a query, with placeholders; without "?" the query stays
	Repeat bool   // repeat: begin anew at the first route; default false: go on with the routes below
}

// Redirect sends the client elsewhere.
type Redirect struct {
	To     string // to: a URL or a path, with placeholders
	Status int    // status: 301, 302, 303, 307 or 308; default 302
}

// Respond is a fixed response.
type Respond struct {
	Status  int               // status; default 200
	Body    string            // body, with placeholders
	Type    string            // type: of the body; default "text/plain; charset=utf-8"
	Headers map[string]string // headers, with placeholders
}

// Headers changes the headers of responses. Values may hold placeholders.
type Headers struct {
	Set    map[string]string // set: in place of what there is
	Add    map[string]string // add: beside what there is
	Remove []string          // remove

	SetUnlessError map[string]string // set_unless_error: as Set, where the status is one of success or of a redirect
	AddUnlessError map[string]string // add_unless_error
}

// RequestHeaders changes the headers of requests. Values may hold placeholders.
type RequestHeaders struct {
	Set    map[string]string // set: in place of what there is
	Add    map[string]string // add: beside what there is
	Remove []string          // remove
}

// Map is a table from one text to another: [site.map.NAME].
type Map struct {
	From    string // from: what is looked up, with placeholders; required
	Values  Lines  // values: "key" or "~regexp" to a text
	Default string // default: where no key is

	Kind       string // kind: "text" (default), "networks" or "split"
	IgnoreCase bool   // ignore_case: of keys that are no regexp; default false
}

// Lines is a table of strings in the order of the file.
type Lines []Line

// Line is one of Lines.
type Line struct{ Name, Value string }
