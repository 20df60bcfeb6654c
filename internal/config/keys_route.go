package config

// The tables within a site and its routes that say which requests are meant,
// and what is done with them on the way.

// conditionKeys are those of a Match without its Not.
func conditionKeys() []key {
	return []key{
		{name: "path", field: "Path", form: formPath, doc: "An exact path (`\"/favicon.ico\"`), or a prefix (`\"/media/*\"`)."},
		{name: "regexp", field: "Regexp", form: formRegexp, doc: "Matched against the decoded path, anywhere in it unless anchored. Its groups are `{1}`, `{2}` …, `{NAME}` for `(?P<NAME>…)`, and `{0}` is all that it matches."},
		{name: "uri", field: "URI", form: formRegexp, doc: "In place of `regexp`: matched against path and query, encoded, after rewrites, `/a%20b?x=1`; however the client spells them, what needs no encoding is as it is, a slash of the path as well, and what needs one has it in capitals. Its groups are those of the route, and stand in rewrites and redirects as they are: one that may hold a `?` or `&` adds these, and without a `?` there is no query."},
		{name: "method", field: "Method", form: formMethods, doc: "One of these methods; `GET` is HEAD as well."},
		{name: "header", field: "Header", form: formHeaderCondition, doc: "Values of headers: a text, `~` and a regexp, `*` for any; an empty text is a header that is missing or empty."},
		{name: "query", field: "Query", form: formCondition, doc: "The same for the values of names in the query, the first of each."},
		{name: "cookie", field: "Cookie", form: formHeaderCondition, doc: "The same for cookies."},
		{name: "client", field: "Client", form: formNetworks, doc: "Addresses and networks, one of which is the client's."},
		{name: "value", field: "Value", form: formValueCondition, doc: "Values of any texts with placeholders, which may name the groups of the route's regexp: `{ \"{scheme}\" = \"https\", \"{map.device}\" = \"~^mobile\" }`. Each is a text, `~` and a regexp, `*` for any that is not empty, or an empty text."},
		{name: "exists", field: "Exists", form: formExists, doc: "Files, by absolute paths with placeholders, that are there (or not) at the time of the request: `{ \"/srv/www{path}\" = \"file\" }`. `file`, `folder`, `any` of them, or `none`."},
	}
}

var notSection = &section{
	title:   "not of %s",
	example: "[[site.route]]",
	doc:     "Conditions that must not all hold: as those of a route.",
	keys:    conditionKeys(),
}

var anySection = &section{
	title:   "any of [[%s]]",
	example: "site.route",
	doc:     "A list of conditions, one of which must hold beside those of the route itself: `any = [{ path = \"/a\" }, { path = \"/b/*\" }]`.",
	keys: append(conditionKeys(),
		key{name: "not", field: "Not", doc: "Conditions that must not all hold.", within: notSection}),
}

var rewriteSection = &section{
	title:   "rewrite of %s",
	example: "[[site.route]]",
	alone:   "to",
	doc:     "Another path, and maybe another query, for what follows: the client sees nothing of it. A route that also answers does so for the new path; one that only rewrites hands it on. `rewrite = \"/new/{1}\"` is `rewrite = { to = \"/new/{1}\" }`.",
	keys: []key{
		{name: "to", field: "To", form: formRewrite, doc: "The path, with placeholders, whose values are encoded. Without a `?` in it the query stays; with one it is replaced: `?{query}` keeps it, `?{query}&a=b` adds to it. Required."},
		{name: "repeat", field: "Repeat", form: formBool, def: "false", doc: "Whether the request begins anew at the first route, at most 10 times: beyond that it is answered with 500. Without it: on to the routes below."},
	},
}

var redirectSection = &section{
	title:   "redirect of %s",
	example: "[[site.route]]",
	alone:   "to",
	doc:     "Sends the client elsewhere. `redirect = \"https://{host}{uri}\"` is `redirect = { to = \"https://{host}{uri}\" }`.",
	keys: []key{
		{name: "to", field: "To", form: formRedirect, doc: "A URL, or a path on this host, with placeholders, whose values are encoded; only the text itself, or a map, can name another host. The query goes along only as `{uri}` or `?{query}`. Where it begins with a map that gives nothing, the route does not match. Required."},
		{name: "status", field: "Status", form: formRedirectStatus, def: "302", doc: "301 and 308 are for good, 302, 303 and 307 for now; 307 and 308 keep the method and the body, 303 makes it a GET."},
	},
}

var respondSection = &section{
	title:   "respond of %s",
	example: "[[site.route]]",
	alone:   "body",
	doc:     "A fixed response. `respond = \"OK\"` is `respond = { body = \"OK\" }`.",
	keys: []key{
		{name: "status", field: "Status", form: formRespondStatus, def: "200", doc: "Its status."},
		{name: "body", field: "Body", form: formText, doc: "Its body, with placeholders, whose values are as the client sent them: not for HTML. Without it: empty, or for a status from 400 on its name."},
		{name: "type", field: "Type", form: formMediaType, def: `"text/plain; charset=utf-8"`, doc: "The media type of the body."},
		{name: "headers", field: "Headers", form: formHeaders, doc: "Further headers, with placeholders."},
	},
}

var headersSection = &section{
	title:   "headers of %s",
	example: "[[site]]",
	doc:     "Changes the headers of responses, errors as well: those of a site, then those of the route. First `remove`, then `set`, then `add`.",
	keys: []key{
		{name: "set", field: "Set", form: formHeaderChanges, doc: "Headers in place of those that there are, with placeholders, of which `{response.NAME}` is a header of the response itself. One that comes out empty changes nothing."},
		{name: "add", field: "Add", form: formHeaderChanges, doc: "Headers beside those that there are, in the same way."},
		{name: "remove", field: "Remove", form: formHeaderNames, doc: "Headers that are left out."},
		{name: "set_unless_error", field: "SetUnlessError", form: formHeaderChanges, doc: "As `set`, for responses with the statuses 200, 201, 204, 206, 301 to 304, 307 and 308 alone."},
		{name: "add_unless_error", field: "AddUnlessError", form: formHeaderChanges, doc: "As `add`, for the same."},
	},
}

var mapSection = &section{
	title:   "[site.map.%s]",
	example: "NAME",
	doc:     "A table from one text to another: `{map.NAME}`, in the texts of this site. NAME is of letters, digits, `_` and `-`.",
	keys: []key{
		{name: "from", field: "From", form: formText, doc: "What is looked up, like `{host}` or `{path}`. Required. With `{response.NAME}` the table is for headers of responses and for logs alone."},
		{name: "values", field: "Values", form: formLines, doc: "What there is: a text, or `~` and a regexp, tried in order where no text is the same. The values may have placeholders."},
		{name: "default", field: "Default", form: formText, doc: "What it is otherwise; without it: empty."},
		{name: "kind", field: "Kind", form: formMapKind, def: `"text"`, doc: "How `values` is read: `text`, as above; `networks`: keys are addresses and networks, of which the longest counts that has the address looked up, as `{client}`; `split`: keys are shares, like `\"25%\"`, into which the texts that are looked up fall at random, the same one always alike; `default` has the rest."},
		{name: "ignore_case", field: "IgnoreCase", form: formBool, def: "false", doc: "Whether keys are the same in capitals and small letters; a regexp says so itself: `~(?i)…`."},
	},
}
