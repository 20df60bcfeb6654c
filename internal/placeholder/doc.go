// Package placeholder is the one small language that texts of a configuration
// are written in: "/blog/{1}?lang={query.lang}".
//
// A text is parsed once, when the configuration is loaded: Parse refuses names
// that nothing stands behind. Per request, Append writes it out. The names:
//
//	{path}         the path, decoded: "/a b"
//	{uri}          the path and the query, encoded: "/a%20b?x=1"
//	{request_uri}  the same as the client sent them, whatever was rewritten
//	{query}        the query, encoded, without its "?"
//	{normal_query} the same as it is compared: what needs no encoding has none
//	{query.NAME}   the first value of a name in the query, decoded
//	{header.NAME}  a header of the request; several of one name with ", " between
//	{cookie.NAME}  the value of a cookie
//	{host}         the host, in lower case, without port
//	{port}         the port that the client named; else 443 or 80, by the scheme
//	{method}       "GET"
//	{scheme}       "http" or "https"
//	{client}       the client's address, without port; "" over a Unix socket
//	{user}         who the client is, once authentication has said so
//	{auth.NAME}    what the answer of the route's auth had of a header, or of a variable
//	{request_id}   the request's id
//	{tls.NAME}     of the connection, and of the client's certificate (tls.go)
//	{env.NAME}     a variable of the environment, when the text was parsed
//	{0} {1} …      the groups of the route's regexp, {0} all that matched
//	{NAME}         a named group: (?P<NAME>…)
//	{map.NAME}     a table from another placeholder to a text
//	{realpath.PATH} a path of this machine without symbolic links (realpath.go)
//	{response.NAME} a header of the response, where there is one
//	{{             a brace
//
// A "}" that closes nothing is itself. What a request has not is the empty
// text. A Scope says which groups and tables there are, and may add names of
// its owner's (a log's {status}).
//
// What routing found out about a request is in a Found in its context, which
// is there only where a configuration uses it.
//
// Append writes values as they are. What becomes a URL goes through AppendURL,
// which encodes the values, so that none of them can be more than it stands
// for; what becomes a line of a header goes through AppendLine.
package placeholder
