package config

// The keys of balancing.

// balanceKeys are those of [upstream.NAME] beside what it takes to talk to a
// server.
func balanceKeys() []key {
	return []key{
		{name: "balance", field: "Balance", form: formBalance, def: `"least-busy"`, doc: "Which server gets a request: `least-busy`, that with the fewest that run, for its weight; `round-robin`, each in its turn, in the measure of its weight; `hash`, by `hash`; `random-two`, of two at random the less busy."},
		{name: "hash", field: "Hash", form: formHash, doc: "For `balance = \"hash\"`: a text with placeholders, like `{path}`, `{header.X-Tenant}`, `{cookie.session}` or `{client}`. Requests for which it is the same go to the same server, as long as that is up and has room; where it is empty they are balanced as by `least-busy`."},
		{name: "sticky", field: "Sticky", doc: "A cookie that brings a client back to the server that answered it first.", within: stickySection},
		{name: "max_fails", field: "MaxFails", form: formFails, def: "1", doc: "Failures of a server within `fail_timeout` after which it is passed over for as long; then one request tries it again. A failure is that it cannot be connected to, is silent, hangs up, or answers what is malformed. 0: none is passed over. The only server of a group never is."},
		{name: "fail_timeout", field: "FailTimeout", form: formDuration, def: `"10s"`, doc: "See `max_fails`."},
		{name: "health", field: "Health", short: true, doc: "Asks each server again and again how it is, and leaves those out that do not answer; without it: nothing is asked. true: with the defaults.", within: healthSection},
		{name: "slow_start", field: "SlowStart", form: formDurationZero, def: `"0s"`, doc: "Time in which the weight of a server that has come back grows to its own; \"0s\": it has it at once."},
		{name: "queue", field: "Queue", form: formCount, def: "1024", doc: "Requests that may wait for a free server, where servers have limits; beyond it: 503."},
		{name: "queue_timeout", field: "QueueTimeout", form: formDuration, def: `"10s"`, doc: "Time that a request may wait; then 503."},
		{name: "resolve", field: "Resolve", form: formDurationZero, def: `"0s"`, doc: "How often the names of servers are looked up; each address that a name stands for is a server of its own. \"0s\": they are looked up as connections are opened."},
		{name: "retries", field: "Retries", form: formRetries, def: "3", doc: "How often a request may go to another server after one that may have begun to work on it failed. What could not connect goes on to the others in any case."},
		{name: "retry_on", field: "RetryOn", form: formRetryOn, def: `["connect", "error", "timeout", "502", "503", "504"]`, doc: "What a request goes to another server for: `connect`, no connection (always so); `error`, the server hung up or its response is malformed; `timeout`, it was silent for `timeout`; the statuses 502, 503, 504. Nothing is sent again once a byte of a response was passed on."},
		{name: "retry_timeout", field: "RetryTimeout", form: formDurationZero, def: `"2m"`, doc: "Time since a request was first sent, after which it is not sent again; \"0s\": any."},
		{name: "retry_unsafe", field: "RetryUnsafe", form: formBool, def: "false", doc: "Whether requests are sent again whose methods are not idempotent (POST, PATCH), though the first server may have done what they ask for."},
	}
}

var upstreamServerSection = &section{
	title:   "servers of [%s]",
	example: "upstream.NAME",
	alone:   "address",
	doc:     "One server; a text alone is its `address`.",
	keys: []key{
		{name: "address", field: "Address", form: formServer, doc: "Where it listens. Required."},
		{name: "weight", field: "Weight", form: formWeight, def: "1", doc: "Its share of the requests beside the others'."},
		{name: "backup", field: "Backup", form: formBool, def: "false", doc: "Whether it has its turn only when no other server is up."},
		{name: "drain", field: "Drain", form: formBool, def: "false", doc: "Whether it gets no requests, and finishes those it has. `millrace upstream drain` and `undrain` do the same at run time."},
		{name: "max_conns", field: "MaxConns", form: formCountOrZero, def: "0", doc: "In place of the group's; 0: that."},
	},
}

var stickySection = &section{
	title:   "sticky of %s",
	example: "[upstream.NAME]",
	alone:   "cookie",
	doc:     "The cookie of a client's server. Its value is a code that tells nothing of the server's address and chooses among the servers of the group alone. When the server is down another answers, and is the client's from then on. A text alone is `cookie`.",
	keys: []key{
		{name: "cookie", field: "Cookie", form: formCookie, doc: "Its name. Required."},
		{name: "secret", field: "Secret", form: formStickySecret, doc: "What the codes are made with, at least 16 characters; the same on several front servers. Without it: one of this process, so that no cookie outlives it."},
		{name: "path", field: "Path", form: formCookiePath, def: `"/"`, doc: "The cookie's path."},
		{name: "max_age", field: "MaxAge", form: formDurationZero, def: `"0s"`, doc: "How long browsers keep it; \"0s\": until they are closed."},
	},
}

var healthSection = &section{
	title:   "health of %s",
	example: "[upstream.NAME]",
	doc:     "How servers are asked: `fastcgi` by FCGI_GET_VALUES and `ajp` by CPING, each on a connection of its own, `http` by a request for `path`, `scgi` and `uwsgi` by connecting.",
	keys: []key{
		{name: "path", field: "Path", form: formHealthPath, doc: "For `http`: the path, and query, that is asked for by GET. Required there, unless `connect` is true."},
		{name: "host", field: "Host", form: formHealthHost, doc: "For `http`: the Host of the request; without it: the server's address."},
		{name: "status", field: "Status", form: formHealthStatus, doc: "For `http`: the statuses of a good answer; without it: 200 to 399."},
		{name: "connect", field: "Connect", form: formBool, def: "false", doc: "Whether it is enough that the server can be connected to; for programs that do not answer their protocol's question."},
		{name: "interval", field: "Interval", form: formDuration, def: `"5s"`, doc: "Time from one check to the next, ±10%."},
		{name: "timeout", field: "Timeout", form: formDuration, def: `"2s"`, doc: "Time for a check; shorter than `interval`."},
		{name: "passes", field: "Passes", form: formCount, def: "2", doc: "Checks in a row that pass, after which a server that failed is used again."},
		{name: "fails", field: "Fails", form: formCount, def: "2", doc: "Checks in a row that fail, after which a server is not used."},
	},
}
