package config

// Keys of the cache of responses.

import "time"

// CacheStore is what all cached responses together may take.
type CacheStore struct {
	Memory      Size   // memory: in memory; default 64MiB; 0: none are kept there
	MemoryEntry Size   // memory_entry: the longest body in memory; default 1MiB
	Folder      string // folder: of those on disk; empty: none are
	Disk        Size   // disk: on disk; default 1GiB
	MaxEntry    Size   // max_entry: the longest body that is cached; default 128MiB
}

// Cache is how the responses of a route are cached.
type Cache struct {
	Off bool // cache = false

	Key             string            // key: what tells requests apart, with placeholders; empty: scheme, host, path and query
	TTL             map[string]string // ttl: durations by status, and "any", for responses that say nothing themselves
	Heuristic       bool              // heuristic: guess it from Last-Modified; default false
	WhileRevalidate time.Duration     // stale_while_revalidate: for responses that say nothing of it; default 0
	IfError         time.Duration     // stale_if_error: the same; default 0
	PrivateCookies  []string          // private_cookies: that make a request its sender's own; default ["*"]
	Bypass          []string          // bypass: texts with placeholders: a request for which one is not empty, and not "0", goes by
	IgnoreClient    bool              // ignore_client: Cache-Control and Pragma of requests; default false
	Ignore          []string          // ignore: headers of responses: "cache-control", "expires", "x-accel-expires", "set-cookie", "vary"
	Separate        bool              // separate: do not wait for another request's answer; default false
	Wait            time.Duration     // wait: how long for; default 10s
	Quiet           bool              // quiet: no Cache-Status; default false
}

var cacheStoreSection = &section{
	title: "[server.cache]",
	doc:   "What the cached responses of all routes with `cache` may take together.",
	keys: []key{
		{name: "memory", field: "Memory", form: formSizeZero, def: `"64MiB"`, doc: "In memory; \"0B\": none are kept there."},
		{name: "memory_entry", field: "MemoryEntry", form: formSize, def: `"1MiB"`, doc: "The longest body that is kept in memory, at most an eighth of `memory`; a longer one is on disk alone, and is sent from there."},
		{name: "folder", field: "Folder", form: formFolder, doc: "Folder of the responses on disk, which millrace must be able to write to. They are there again after a restart. Without it: none are on disk."},
		{name: "disk", field: "Disk", form: formSize, def: `"1GiB"`, doc: "On disk, in `folder`."},
		{name: "max_entry", field: "MaxEntry", form: formSize, def: `"128MiB"`, doc: "The longest body that is cached, at most half of `disk`."},
	},
}

var cacheSection = &section{
	title:   "cache of %s",
	example: "[[site.route]]",
	doc:     "Responses of the app or the back ends that may be used again are, as their Cache-Control says. `cache = true` has the defaults: what says nothing of how long it is good is not cached.",
	keys: []key{
		{name: "key", field: "Key", form: formText, doc: "What tells requests from each other, with placeholders: `\"{scheme}://{host}{path}\"` has one response whatever the query. It stands for the whole: without `{host}` one host gets what is another's. Without the key: scheme, host, path and query, byte for byte."},
		{name: "ttl", field: "TTL", form: formCacheTTL, doc: "How long a response is good that does not say it itself, by status; `any` is for all others, but for those that are about one request and how it was asked (400, 408, 411 to 413, 416, 417, 421, 425, 426, 428, 429, 431). Without it: it is not cached."},
		{name: "heuristic", field: "Heuristic", form: formBool, def: "false", doc: "Whether it is guessed where neither the response nor `ttl` says it: a tenth of the time since Last-Modified, a day at most."},
		{name: "stale_while_revalidate", field: "WhileRevalidate", form: formDurationZero, def: `"0s"`, doc: "For so long after its time a response still goes out, while a new one is fetched; for those that say nothing of it."},
		{name: "stale_if_error", field: "IfError", form: formDurationZero, def: `"0s"`, doc: "For so long after its time a response goes out in place of an error (500 and above) of the back end; for those that say nothing of it."},
		{name: "private_cookies", field: "PrivateCookies", form: formCookieNames, def: `["*"]`, doc: "Cookies that make a request its sender's own, `*` at the end for all that begin so: such a request is answered from the cache, and its response is cached, only where the response is said to be for all, by `public`, `s-maxage` or X-Accel-Expires. An empty list: no cookie does."},
		{name: "bypass", field: "Bypass", form: formBypass, doc: "Texts with placeholders: a request for which one of them is not empty, and not `0`, goes by the cache: `[\"{query.preview}\", \"{cookie.nocache}\"]`."},
		{name: "ignore_client", field: "IgnoreClient", form: formBool, def: "false", doc: "Whether Cache-Control and Pragma of requests mean nothing, so that nobody can have the back end asked."},
		{name: "ignore", field: "Ignore", form: formCacheIgnore, doc: "Headers of responses that mean nothing to the cache. Without `cache-control`, `private` and `no-store` mean nothing either; `set-cookie` caches a response with cookies, without them."},
		{name: "separate", field: "Separate", form: formBool, def: "false", doc: "Whether requests that come at the same time are all passed on; without it one is, and the others wait for its answer."},
		{name: "wait", field: "Wait", form: formDuration, def: `"10s"`, doc: "How long they wait for its head; then they are passed on."},
		{name: "quiet", field: "Quiet", form: formBool, def: "false", doc: "Whether responses carry no Cache-Status."},
	},
}
