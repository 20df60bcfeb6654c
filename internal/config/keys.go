package config

import "strconv"

// section is a table of the file: its keys, in the order of the reference.
type section struct {
	title   string // as it is written in the file; %s is the name of one, or the table around it
	example string // what stands for %s where none is at hand
	alone   string // the key that a string in place of the table gives; "": there is none
	doc     string // for the reference
	keys    []key
}

// key is one key. Its TOML type is that of its field.
type key struct {
	name   string
	field  string // of the Go struct
	form   form
	def    string // the default as TOML; "": none
	fitted bool   // fitPool sets the default
	short  bool   // of a table: true and false stand for it, with its defaults and turned Off
	off    bool   // of a table: false alone stands for it, turned Off
	doc    string
	within *section // of a table, or a list or a family of tables
}

// Defaults of a pool. fitPool applies them: they give way to each other.
const (
	defaultMinSpare    = 2
	defaultMaxSpare    = 5
	defaultMaxChildren = 20
)

var fileSection = &section{
	title: "the file",
	doc:   "The tables of the file.",
	keys: []key{
		{name: "server", field: "Server", doc: "The whole process.", within: serverSection},
		{name: "site", field: "Sites", doc: "A list: what answers for some hosts on some addresses.", within: siteSection},
		{name: "app", field: "Apps", doc: "Applications by their names.", within: appSection},
		{name: "upstream", field: "Upstreams", doc: "Back ends that millrace does not start, by the names of their groups.", within: upstreamSection},
	},
}

var serverSection = &section{
	title: "[server]",
	doc:   "What belongs to the whole process.",
	keys: []key{
		{name: "user", field: "User", form: formUser, doc: "User that millrace serves as, once its addresses are open and its apps have their own; for a start as root. Without it: the user who started it."},
		{name: "group", field: "Group", form: formGroup, doc: "Group that millrace serves as; without it: that of `user`."},
		{name: "pidfile", field: "PIDFile", form: formFile, doc: "Holds the process id while millrace serves."},
		{name: "error_log", field: "ErrorLog", form: formFile, doc: "The log of errors and events; without it: stderr."},
		{name: "control", field: "Control", form: formSocket, doc: "Unix socket of `millrace status`, `reload`, `upgrade` and `stop`; without it: one derived from the place of the file."},
		{name: "status", field: "Status", form: formStatus, doc: "Address at which the status is served over HTTP, for this machine and those who may reach it: `/` as text, `/json`, `/metrics` for Prometheus."},
		{name: "spool", field: "Spool", form: formFolder, def: `"/var/tmp"`, doc: "Folder of the bodies of requests and responses that are too large for memory."},
		{name: "spool_max", field: "SpoolMax", form: formSize, def: `"10GiB"`, doc: "What all spooled bodies may take together."},
		{name: "max_header", field: "MaxHeader", form: formSize, def: `"64KiB"`, doc: "Request line and headers together; beyond it: 431, or 414 for the line alone."},
		{name: "header_timeout", field: "HeaderTimeout", form: formDuration, def: `"30s"`, doc: "Time for the head of a request to arrive."},
		{name: "body_timeout", field: "BodyTimeout", form: formDuration, def: `"60s"`, doc: "Time without a byte of a request's body."},
		{name: "min_body_rate", field: "MinBodyRate", form: formSizeZero, def: `"240B"`, doc: "Bytes a second that a request's body must average once body_timeout has passed; \"0B\": any rate."},
		{name: "write_timeout", field: "WriteTimeout", form: formDuration, def: `"60s"`, doc: "Time without the client taking a byte of the response."},
		{name: "min_write_rate", field: "MinWriteRate", form: formSizeZero, def: `"240B"`, doc: "Bytes a second that the client must take on average while it is waited for, once write_timeout has passed; \"0B\": any rate."},
		{name: "idle_timeout", field: "IdleTimeout", form: formDuration, def: `"75s"`, doc: "Time that a kept connection may be without a request."},
		{name: "shutdown_timeout", field: "ShutdownTimeout", form: formDuration, def: `"30s"`, doc: "Time that running requests have on stop."},
		{name: "trusted_proxies", field: "TrustedProxies", form: formClients, doc: "Who tells in `proxy_headers`, or by the PROXY protocol, whose request it passes on. Nobody else is believed."},
		{name: "proxy_headers", field: "ProxyHeaders", form: formProxied, def: `["x-forwarded-for", "x-forwarded-proto"]`, doc: "The headers that they set, all of them, to what they know themselves. One that they pass on as it came must not be here."},
		{name: "max_connections", field: "MaxConnections", form: formCountOrZero, def: "0", doc: "Connections of clients to all sites at a time; beyond it the one that is idle for the longest time is closed, and without one a new client gets 503; 0: any number."},
		{name: "max_connections_per_client", field: "MaxConnectionsPerClient", form: formCountOrZero, def: "0", doc: "Of them those of one client, or of one network of 64 bits of IPv6; 0: any number. Trusted proxies and clients at Unix sockets are not counted."},
		{name: "types", field: "Types", form: formTypes, doc: "Media types by extension, added to the built-in table."},
		{name: "file_cache", field: "FileCache", doc: "What is kept of files that were served.", within: fileCacheSection},
		{name: "compress_cache", field: "CompressCache", form: formSizeZero, def: `"16MiB"`, doc: "What compressed files may take in memory, so that each is compressed once; \"0B\": none are kept."},
		{name: "cache", field: "Cache", doc: "What cached responses may take.", within: cacheStoreSection},
	},
}

var fileCacheSection = &section{
	title: "[server.file_cache]",
	doc:   "What is kept of the files that were served lately, for all trees of files together.",
	keys: []key{
		{name: "files", field: "Files", form: formCountOrZero, def: "4096", doc: "Files whose metadata is kept; 0: nothing is kept."},
		{name: "size", field: "Size", form: formSizeZero, def: `"16MiB"`, doc: "What the contents of small files, up to 32 KiB each, may take together; \"0B\": no contents are kept."},
		{name: "descriptors", field: "Descriptors", form: formCountOrZero, def: "256", doc: "Larger files that are kept open for a few seconds after they were sent; 0: none."},
		{name: "check", field: "Check", form: formDuration, def: `"1s"`, doc: "For this long a file is served as it was seen; then it is looked at again. So long a change may take to show."},
	},
}

var siteSection = &section{
	title: "[[site]]",
	doc:   "Answers for some hosts on some addresses. Without any site and any `[[app.NAME.listen]]`, 127.0.0.1:8000 serves the one app.",
	keys: []key{
		{name: "listen", field: "Listen", form: formAddress, def: `["127.0.0.1:8000"]`, doc: "Addresses of the site; port 0 is any free one."},
		{name: "hosts", field: "Hosts", form: formHost, doc: "Names of hosts: exact, `*.example.com` for all below a name, or `~` and a regexp. An exact name goes before `*`, the longest of those before regexps, and these are tried in the order of the file. Without it: any host that no other site of the address names."},
		{name: "default", field: "Default", form: formBool, def: "false", doc: "Whether the site also answers for hosts that no site of the address names. Without one of these: the site without hosts, else the first."},
		{name: "root", field: "Root", form: formSite, doc: "Folder of the files that are served where no route matches. It may hold placeholders, as the `root` of `files`."},
		{name: "access_log", field: "AccessLog", form: formLog, doc: "Access log; without it: none."},
		{name: "log_format", field: "LogFormat", form: formLogFormat, def: `"combined"`, doc: "What a line of the access log looks like: `combined`, `vhost` (the same behind the site's name), `json` (an object), or a text with placeholders, those of a log among them: `{status}`, `{bytes}`, `{duration}`, … (docs/access-log.md)."},
		{name: "access_log_max_size", field: "AccessLogMaxSize", form: formSizeZero, def: `"0B"`, doc: "Size at which the access log is renamed, to its name with `.1`, and begun anew; `\"0B\"`: never."},
		{name: "access_log_keep", field: "AccessLogKeep", form: formCount, def: "5", doc: "How many of the renamed ones are kept."},
		{name: "request_id", field: "RequestID", form: formBool, def: "false", doc: "Whether responses carry the request's id, as X-Request-ID."},
		{name: "maintenance", field: "Maintenance", form: formPage, doc: "The page that answers with 503 while `millrace maintenance on` holds; without it: a plain one."},
		{name: "follow_symlinks", field: "FollowSymlinks", form: formBool, def: "false", doc: "Whether a symbolic link may lead out of a folder of files."},
		{name: "types", field: "Types", form: formOwnTypes, doc: "Media types of files, in place of the built-in table and of `types` of `[server]`: by endings of their names (`.html`, `.tar.gz`; the longest goes first), by names in full (`README`), and `\"\"` for all others, which are `application/octet-stream` without it. They are sent as they stand here, without a charset that is not written; an empty one is not sent."},
		{name: "tls", field: "TLS", doc: "TLS on the addresses of the site.", within: tlsSection},
		{name: "headers", field: "Headers", doc: "Changes the headers of all responses.", within: headersSection},
		{name: "error_pages", field: "ErrorPages", form: formErrorPages, doc: "Pages of errors, by status; `4xx` and `5xx` are for all that have none of their own. A file; a path of this site, with placeholders and `{status}`, that is answered at the routes; `@GROUP`, whose routes answer the request as it is; or a URL, to which the client is sent. The status stays; `= ` in front has it be the page's own, `=200 ` this one."},
		{name: "error_pages_of_apps", field: "ErrorPagesOfApps", form: formBool, def: "false", doc: "Whether error_pages also take the place of errors that an app or a back end answers."},
		{name: "map", field: "Maps", doc: "Tables from one text to another, by their names.", within: mapSection},
		{name: "compress", field: "Compress", short: true, doc: "How responses of the types of text are compressed on the fly, for clients that take it; without it: with the defaults. false: not at all.", within: compressSection},
		{name: "proxy_protocol", field: "ProxyProtocol", form: formBool, def: "false", doc: "Whether connections to the addresses of the site begin with a header of the PROXY protocol, version 1 or 2. One without is closed, and so is one from elsewhere than `trusted_proxies`, if there are any."},
		{name: "allow", field: "Allow", form: formClients, doc: "Clients that may; others are answered with 403. Without it: all."},
		{name: "deny", field: "Deny", form: formClients, doc: "Clients that may not, whatever `allow` says."},
		{name: "basic_auth", field: "BasicAuth", off: true, doc: "Who may, by name and password: for all routes, and `root`, but routes that have their own.", within: basicAuthSection},
		{name: "limit", field: "Limit", off: true, doc: "How many requests may come, and run at a time: of all routes, and `root`, together, but routes that have their own.", within: rateLimitSection},
		{name: "route", field: "Routes", doc: "A list: which paths lead where.", within: routeSection},
	},
}

var routeSection = &section{
	title: "[[site.route]]",
	doc:   "Sends the requests of some paths to files, to an app or to other servers: one of `files`, `app`, `upstream`, `cgi`, `user_dirs`, `redirect`, `respond`, `goto`, `status` and `health`. The first route that matches wins: the first whose conditions all hold (`path`, `regexp`, `method`, `header`, `query`, `cookie`, `client`, `value`, `exists`, `not`, `any`); one without any matches every request. [Sites and routes](routes.md) has the placeholders of texts.",
	keys: append(conditionKeys(), []key{
		{name: "not", field: "Not", doc: "Conditions that must not all hold.", within: notSection},
		{name: "any", field: "Any", doc: "A list of conditions, one of which must hold.", within: anySection},
		{name: "group", field: "Group", form: formRouteGroup, doc: "The group that the route belongs to: requests come to it only by `goto` or `try_files`. Where none of a group's routes takes a request, it is answered with 404."},
		{name: "goto", field: "Goto", form: formRouteGroup, doc: "The request goes on with the routes of this group, at the first, if `allow`, `deny`, `limit`, `basic_auth` and `auth` of this route let it pass."},
		{name: "rewrite", field: "Rewrite", doc: "Another path for what follows.", within: rewriteSection},
		{name: "try_files", field: "TryFiles", form: formTryFiles, doc: "Paths with placeholders, looked for in order below the `root` of `files`, else below that of the site: the route answers for the first that is there; one that ends with `/` is a folder. The last is not looked for: the request goes on with that path at the first route, past this one; as it is with the routes of a group, for `@GROUP`; or is answered with `=404`."},
		{name: "headers", field: "Headers", doc: "Changes the headers of responses.", within: headersSection},
		{name: "error_pages", field: "ErrorPages", form: formErrorPages, doc: "In place of the site's; an empty table: none."},
		{name: "error_pages_of_apps", field: "ErrorPagesOfApps", form: formBool, doc: "Overrides the site's."},
		{name: "request_headers", field: "RequestHeaders", doc: "Changes the headers of requests to the app or the back ends.", within: requestHeadersSection},
		{name: "reverse", field: "Reverse", doc: "Places in the responses of back ends, rewritten; without it: automatically.", within: reverseSection},
		{name: "params", field: "Params", form: formRouteParams, doc: "Parameters that the app (a WSGI app has them in its environ) or the back ends get with each request of the route, with placeholders; over what the request brought, and below `params` of theirs. Not for `http` and CGI."},
		{name: "mount", field: "Mount", form: formPrefix, doc: "This prefix becomes the SCRIPT_NAME of the app or the back end, the rest its PATH_INFO; without it the whole path is PATH_INFO. A back end of protocol `http` gets the rest as its path, and the prefix as X-Forwarded-Prefix; one of `ajp` the whole path."},
		{name: "files", field: "Files", doc: "The files that answer.", within: filesSection},
		{name: "app", field: "App", form: formApp, doc: "The app that answers."},
		{name: "upstream", field: "Upstream", form: formUpstream, doc: "The back ends that answer."},
		{name: "internal", field: "Internal", form: formBool, def: "false", doc: "Whether the route is only for what begins within: an app's X-Accel-Redirect, and error_pages. A client's own request, and what an app redirects it to, goes on to the routes below."},
		{name: "unlogged", field: "Unlogged", form: formBool, def: "false", doc: "Whether what the route answers is left out of the access log."},
		{name: "x_sendfile", field: "XSendfile", form: formDocroots, doc: "Folders out of which the app or the back end may have files sent, by answering with X-Sendfile: the path of a file, or with X-Accel-Redirect: a path of this site, which then answers; an empty list: that alone. Without it, both headers are taken from responses and do nothing."},
		{name: "compress", field: "Compress", short: true, doc: "In place of the site's.", within: compressSection},
		{name: "cache", field: "Cache", short: true, doc: "Responses that may be used again are. `cache = true` does as they say.", within: cacheSection},
		{name: "script", field: "Script", doc: "Which file the app or the back ends run.", within: scriptSection},
		{name: "cgi", field: "CGI", doc: "CGI programs of a folder answer.", within: cgiSection},
		{name: "user_dirs", field: "UserDirs", doc: "The folders of users, `/~name/`, answer.", within: userDirsSection},
		{name: "status", field: "Status", form: formBool, doc: "The server's own status answers, as at the address `status` of `[server]`. Whoever gets here sees it."},
		{name: "health", field: "Health", form: formBool, doc: "Whether the server is healthy answers: 200 while every app serves, else 503."},
		{name: "redirect", field: "Redirect", doc: "A redirect answers.", within: redirectSection},
		{name: "respond", field: "Respond", doc: "A fixed response answers.", within: respondSection},
		{name: "basic_auth", field: "BasicAuth", off: true, doc: "Who may, by name and password, in place of the site's; false: everyone.", within: basicAuthSection},
		{name: "auth", field: "Auth", doc: "Who may, by asking somebody else.", within: authSection},
		{name: "filter", field: "Filter", doc: "Who works over the answers.", within: filterSection},
		{name: "allow", field: "Allow", form: formClients, doc: "Clients that may, of those that the site lets in; others are answered with 403. Without it: all of them."},
		{name: "deny", field: "Deny", form: formClients, doc: "Clients that may not, whatever `allow` says."},
		{name: "limit", field: "Limit", off: true, doc: "How many requests may come, and run at a time, in place of the site's; false: any number.", within: rateLimitSection},
		{name: "max_body", field: "MaxBody", form: formSize, doc: "The largest body of a request; beyond it: 413. Without it: what the app or the back ends have, which bounds it as well."},
		{name: "body_timeout", field: "BodyTimeout", form: formDuration, doc: "Overrides that of `[server]`."},
		{name: "min_body_rate", field: "MinBodyRate", form: formSize, doc: "Overrides that of `[server]`."},
		{name: "write_timeout", field: "WriteTimeout", form: formDuration, doc: "Overrides that of `[server]`."},
		{name: "min_write_rate", field: "MinWriteRate", form: formSize, doc: "Overrides that of `[server]`."},
	}...),
}

var filesSection = &section{
	title:   "files of %s",
	example: "[[site.route]]",
	doc:     "A tree of files. Names that begin with a dot are never served.",
	keys: []key{
		{name: "root", field: "Root", form: formRoots, doc: "A folder, or a list of folders searched in order. The whole path is joined with it. It may hold placeholders (`/srv/{host}/www`), behind a folder that exists: each stands for one folder's name, or a part of one. Required."},
		{name: "strip", field: "Strip", form: formPrefix, doc: "Prefix that is dropped from the path before it is joined with `root`."},
		{name: "index", field: "Index", form: formIndex, def: `["index.html"]`, doc: "Files that answer for a folder, tried in order; an empty list: none."},
		{name: "follow_symlinks", field: "FollowSymlinks", form: formBool, doc: "Overrides the site's."},
		{name: "listing", field: "Listing", short: true, doc: "List folders that have no index file, as HTML or, by Accept or `?format=json`, as JSON; without it: they are not found.", within: listingSection},
		{name: "precompressed", field: "Precompressed", form: formBool, def: "false", doc: "Serve NAME.br, NAME.zst or NAME.gz beside NAME in its place to clients that take the encoding; if it is smaller than NAME, and not older."},
		{name: "immutable", field: "Immutable", form: formImmutable, doc: "Paths whose files never change: clients keep them for a year without asking. true: names with a hash in them, like `app.3f2a91bc.js`. Goes before `cache_control` and `expires`."},
		{name: "cache_control", field: "CacheControl", form: formCacheControl, doc: "The Cache-Control header of the files."},
		{name: "expires", field: "Expires", form: formDuration, doc: "In place of `cache_control`: clients keep the files for this long without asking."},
		{name: "types", field: "Types", form: formOwnTypes, doc: "Media types of these files, in place of the site's."},
	},
}

var listingSection = &section{
	title:   "listing of %s",
	example: "files of [[site.route]]",
	doc:     "How folders are listed: `listing = true` has the defaults.",
	keys: []key{
		{name: "sort", field: "Sort", form: formSort, def: `"name"`, doc: "The order at first; the reader may choose another."},
		{name: "page", field: "Page", form: formCount, def: "500", doc: "Entries on one page, at most 5000."},
		{name: "max", field: "Max", form: formCount, def: "20000", doc: "Entries of a folder that are looked at, at most 1000000; a larger folder's listing says that it is not whole."},
		{name: "hide", field: "Hide", form: formRegexp, doc: "Names that are not shown: those in which it matches. Who asks for one gets it all the same."},
	},
}

var appSection = &section{
	title:   "[app.%s]",
	example: "NAME",
	doc:     "One application and its pool of workers. NAME is of letters, digits, `_` and `-`.",
	keys: []key{
		{name: "wsgi", field: "WSGI", form: formCallable, doc: "The WSGI callable; Django's `module.callable` will do. Required, unless there is `command`."},
		{name: "command", field: "Command", form: formCommand, doc: "In place of `wsgi`: a program and its arguments, which answers requests over `protocol`. It gets a listening socket as its standard input; where `{socket}` or `{port}` stands among the arguments, it binds that itself. With method `cgi` it is a CGI program."},
		{name: "protocol", field: "Protocol", form: formProtocol, def: `"fastcgi"`, doc: "What the program of `command` speaks."},
		{name: "concurrency", field: "Concurrency", form: formCount, def: "1", doc: "Requests that one process of `command` is given at a time."},
		{name: "params", field: "Params", form: formParams, doc: "Added to the parameters of each request to `command`, over what it brought; not for `http`. PHP wants `SCRIPT_FILENAME`."},
		{name: "dir", field: "Dir", form: formFolder, def: `"."`, doc: "Working folder, the first on `sys.path`."},
		{name: "venv", field: "Venv", form: formVenv, doc: "Virtual environment whose python runs the app; without it: found, like `.venv` in `dir`."},
		{name: "python", field: "Python", form: formPython, doc: "The interpreter itself; it goes before `venv`."},
		{name: "env", field: "Env", form: formEnv, doc: "Added to the app's environment."},
		{name: "env_file", field: "EnvFile", form: formEnvFile, doc: "Files of `NAME=value` lines, added to the app's environment before `env`; `credential:NAME` is a credential of systemd. Read anew at each reload."},
		{name: "secrets", field: "Secrets", form: formSecrets, doc: "Variables of the app's environment whose values are the contents of files, or of credentials of systemd (`credential:NAME`), without the line feed at their ends."},
		{name: "user", field: "User", form: formUser, doc: "User that the app's processes run as; for a start as root. Without it: that of `[server]`."},
		{name: "group", field: "Group", form: formGroup, doc: "Group that the app's processes run as; without it: that of `user`."},
		{name: "umask", field: "Umask", form: formUmask, doc: "Bits that files made by the app's processes lack; without it: as millrace was started."},
		{name: "chroot", field: "Chroot", form: formChroot, doc: "Folder that is the root folder of the app's processes; for a start as root. `dir`, the interpreter and the program must be in it, and are written as they are seen from outside."},
		{name: "rlimits", field: "Rlimits", form: formRlimits, doc: "Resource limits of the app's processes: `as`, `core`, `cpu`, `data`, `fsize`, `memlock`, `nofile`, `nproc`, `rss`, `stack`, each a number, a size or `unlimited`."},
		{name: "method", field: "Method", form: formMethod, def: `"prefork"`, doc: "How the workers run, each answering one request at a time: `prefork` is processes (with `threads`: each of several threads), `threaded` is threads of few processes, `cgi` is a process for each request."},
		{name: "threads", field: "Threads", form: formCount, doc: "Threads of one process. For method `threaded`, without it: max_children, so that there is one process. For `prefork`: there are as many as max_children processes (with `workers`: so many, always), and a worker is a thread of one: min_spare and max_spare count threads."},
		{name: "scaling", field: "Scaling", form: formScaling, def: `"dynamic"`, doc: "How many workers there are: `dynamic` keeps min_spare to max_spare idle ones, `static` is max_children always, `ondemand` starts them for requests that wait, and is none without requests: the app stays imported all the same."},
		{name: "idle_timeout", field: "IdleTimeout", form: formDuration, def: `"10s"`, doc: "Time after which an idle worker goes, for scaling `ondemand`."},
		{name: "preload", field: "Preload", form: formPreload, def: "true", doc: "Import the app once and fork the workers, or import it in each. What must not be shared by a fork is named in the log, and the app imported in each worker; with `\"require\"` that is an error."},
		{name: "warm_up", field: "WarmUp", form: formWarmUp, doc: "A path that is requested once after the import, before any worker is forked: what a first request loads, all workers then share. Django's database connections are closed after it."},
		{name: "after_fork", field: "AfterFork", form: formHook, doc: "Called in each new worker, to reopen what must not be shared."},

		{name: "workers", field: "Workers", form: formCount, doc: "A fixed number of workers, in place of the next three."},
		{name: "min_spare", field: "MinSpare", form: formCount, def: strconv.Itoa(defaultMinSpare), fitted: true, doc: "Idle workers that are kept at least; the default gives way to the next two."},
		{name: "max_spare", field: "MaxSpare", form: formCount, def: strconv.Itoa(defaultMaxSpare), fitted: true, doc: "Idle workers that are kept at most; the default gives way to min_spare and max_children."},
		{name: "max_children", field: "MaxChildren", form: formCount, def: strconv.Itoa(defaultMaxChildren), fitted: true, doc: "Workers at most; processes, where `prefork` has `threads`, and with method `cgi`. The default gives way to the two before."},
		{name: "max_requests", field: "MaxRequests", form: formCountOrZero, def: "0", doc: "Requests after which a worker is replaced, ±10%; 0: never."},
		{name: "max_memory", field: "MaxMemory", form: formSizeZero, def: `"0B"`, doc: "Resident memory of a process after which it is replaced; \"0B\": any."},
		{name: "max_lifetime", field: "MaxLifetime", form: formDurationZero, def: `"0s"`, doc: "Age at which a worker is replaced, ±10%; \"0s\": any."},
		{name: "queue", field: "Queue", form: formCount, def: "1024", doc: "Requests that may wait for a worker; beyond it: 503."},
		{name: "queue_timeout", field: "QueueTimeout", form: formDurationZero, def: `"0s"`, doc: "Time that a request may wait for a worker; then 503; \"0s\": any."},
		{name: "request_timeout", field: "RequestTimeout", form: formDurationZero, def: `"60s"`, doc: "Time for a request, from its start in the worker; then a traceback in the log, 504, and the worker is killed; \"0s\": none."},
		{name: "slow_request", field: "SlowRequest", form: formDurationZero, def: `"0s"`, doc: "Time for a request after which a traceback of its worker is logged, and it goes on; \"0s\": none."},
		{name: "slow_log", field: "SlowLog", form: formFile, doc: "Log of the tracebacks of slow_request; without it: the error log."},
		{name: "retry", field: "Retry", form: formBool, def: "false", doc: "Whether a request whose worker died while it ran is run once more in another, if its method is idempotent (RFC 9110, section 9.2.2)."},
		{name: "startup_timeout", field: "StartupTimeout", form: formDuration, def: `"60s"`, doc: "Time for the import of the app."},
		{name: "stop_timeout", field: "StopTimeout", form: formDuration, def: `"30s"`, doc: "Time that running requests have when the app is reloaded or stopped."},
		{name: "max_body", field: "MaxBody", form: formSize, def: `"1GiB"`, doc: "The largest body of a request; beyond it: 413."},
		{name: "traceback_to", field: "TracebackTo", form: formAllow, doc: "Clients that are shown the traceback when the app raises; in development: this machine."},
		{name: "cron", field: "Cron", form: formCron, doc: "Lines as in a crontab, `minute hour day month weekday command`; the command is run by /bin/sh as the app's processes are."},
		{name: "attached", field: "Attached", doc: "Programs that live and reload with the app, by their names.", within: attachedSection},
		{name: "listen", field: "Listen", doc: "A list: addresses at which the app answers other front servers.", within: appListenSection},
	},
}

var attachedSection = &section{
	title:   "[%s.attached.%s]",
	example: "app.NAME",
	doc:     "A program that is started with the app, in its folder, with its environment and rights, kept up, and replaced at a reload: a queue worker.",
	keys: []key{
		{name: "command", field: "Command", form: formCommand, doc: "The program and its arguments. Required."},
		{name: "env", field: "Env", form: formEnv, doc: "Added to the app's environment."},
		{name: "count", field: "Count", form: formCount, def: "1", doc: "How many of it run."},
		{name: "stop_signal", field: "StopSignal", form: formSignal, def: `"TERM"`, doc: "Signal that asks it to end."},
		{name: "stop_timeout", field: "StopTimeout", form: formDuration, def: `"30s"`, doc: "Time that it has to end; then it is killed."},
	},
}

var appListenSection = &section{
	title:   "[[%s.listen]]",
	example: "app.NAME",
	doc:     "An address at which the app answers another front server, beside the sites or without any. Who may connect is trusted: over every protocol but `http` a front server tells who the client is.",
	keys: []key{
		{name: "protocol", field: "Protocol", form: formProtocol, doc: "What the front server speaks. Required."},
		{name: "address", field: "Address", form: formAppAddress, doc: "Where it connects; `fd:N` is a listening socket that millrace was started with. Required."},
		{name: "mode", field: "Mode", form: formMode, def: `"0666"`, doc: "Mode of a Unix socket."},
		{name: "mount", field: "Mount", form: formPrefix, doc: "This prefix of the path becomes SCRIPT_NAME, the rest PATH_INFO; without it: as the front server says."},
		{name: "secret", field: "Secret", form: formSecret, doc: "For `ajp`: what the front server must give; without it `ajp` listens on this machine alone."},
		{name: "allow", field: "Allow", form: formAllow, doc: "Who may connect over TCP; without it: everyone who can."},
		{name: "packet_size", field: "PacketSize", form: formSize, def: `"8KiB"`, doc: "For `ajp`: the size of its packets, `8KiB` to `64KiB`, as the front server has it (Apache: ProxyIOBufferSize)."},
		{name: "attributes", field: "Attributes", form: formAttributes, doc: "For `ajp`: request attributes that become parameters (Apache: `SetEnv AJP_NAME`); a request with any other is refused."},
		{name: "lighttpd", field: "Lighttpd", form: formBool, def: "false", doc: "For `ajp`: the front server is lighttpd, which sends paths decoded and takes headers in an order of its own."},
	},
}

var upstreamSection = &section{
	title:   "[upstream.%s]",
	example: "NAME",
	doc:     "Back ends that millrace does not start, each request answered by one of them (docs/balancing.md). One that fails is passed over for a while, and the request goes to another. NAME is of letters, digits, `_` and `-`.",
	keys: append([]key{
		{name: "protocol", field: "Protocol", form: formBackendProtocol, doc: "What the back ends speak; `https` is HTTP/1.1 over TLS, `h2` HTTP/2 over TLS, `h2c` HTTP/2 without. Required."},
		{name: "servers", field: "Servers", doc: "A list: their addresses, `\"host:port\"` or `\"unix:/path\"`, or tables. Required.", within: upstreamServerSection},
		{name: "params", field: "Params", form: formParams, doc: "Added to the parameters of each request, over what it brought; not for `http` and its kin."},
		{name: "secret", field: "Secret", form: formSecret, doc: "For `ajp`: what the back ends want to be given."},
		{name: "packet_size", field: "PacketSize", form: formSize, def: `"8KiB"`, doc: "For `ajp`: the size of its packets, `8KiB` to `64KiB`, as the back ends have it (Tomcat: packetSize)."},
		{name: "attributes", field: "Attributes", form: formAttributes, doc: "For `ajp`: parameters that are sent as request attributes (Tomcat: allowedRequestAttributesPattern)."},
		{name: "tls", field: "TLS", doc: "For `https` and `h2`: how TLS is spoken to the servers.", within: upstreamTLSSection},
		{name: "max_conns", field: "MaxConns", form: formCountOrZero, def: "0", doc: "Requests that each server answers at a time; for `fastcgi` connections to it, which may take several requests each. What finds none free waits in the `queue`. 0: as many as come, or as the back end of `fastcgi` says that it takes."},
		{name: "connect_timeout", field: "ConnectTimeout", form: formDuration, def: `"10s"`, doc: "Time for a connection to open; then the next server's turn."},
		{name: "timeout", field: "Timeout", form: formDuration, def: `"60s"`, doc: "Time without a byte from the back end; then 504."},
		{name: "max_body", field: "MaxBody", form: formSize, def: `"1GiB"`, doc: "The largest body of a request; beyond it: 413."},
		{name: "buffering", field: "Buffering", form: formBool, def: "true", doc: "A response waits in a file for a slow client, so that its back end is free; `false`: the back end waits for the client. Either way a client gets at once what there is. A response with `X-Accel-Buffering: no` or of the type `text/event-stream` is as with `false`, one with `X-Accel-Buffering: yes` as with `true`."},
		{name: "request_buffering", field: "RequestBuffering", form: formBool, def: "true", doc: "A back end is asked when the body of the request is here; `false`: the body goes to it as it comes. Then nothing is sent a second time. Over the protocols that need a length first, a body that comes without one is collected all the same: all but `http` and its kin."},
		{name: "upgrade", field: "Upgrade", form: formBool, def: "true", doc: "For HTTP/1.1 back ends: a request for another protocol, like WebSocket, is passed on, and its connection when the back end agrees."},
		{name: "upgrade_timeout", field: "UpgradeTimeout", form: formDuration, def: `"1h"`, doc: "Time that such a connection may be without a byte of either side."},
	}, balanceKeys()...),
}

// planned are keys that the design has and this version has not.
func planned(*section) []string { return nil }

func (s *section) key(name string) *key {
	for i := range s.keys {
		if s.keys[i].name == name {
			return &s.keys[i]
		}
	}
	return nil
}
