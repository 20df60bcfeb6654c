package config

import "strconv"

// section is a table of the file: its keys, in the order of the reference.
type section struct {
	title   string // as it is written in the file; %s is the name of one, or the table around it
	example string // what stands for %s where none is at hand
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
		{name: "pidfile", field: "PIDFile", form: formFile, doc: "Holds the process id while millrace serves."},
		{name: "error_log", field: "ErrorLog", form: formFile, doc: "The log of errors and events; without it: stderr."},
		{name: "control", field: "Control", form: formSocket, doc: "Unix socket of `millrace status`, `reload` and `stop`; without it: one derived from the place of the file."},
		{name: "spool", field: "Spool", form: formFolder, def: `"/var/tmp"`, doc: "Folder of the bodies of requests and responses that are too large for memory."},
		{name: "spool_max", field: "SpoolMax", form: formSize, def: `"10GiB"`, doc: "What all spooled bodies may take together."},
		{name: "max_header", field: "MaxHeader", form: formSize, def: `"64KiB"`, doc: "Request line and headers together; beyond it: 431."},
		{name: "header_timeout", field: "HeaderTimeout", form: formDuration, def: `"30s"`, doc: "Time for the head of a request to arrive."},
		{name: "body_timeout", field: "BodyTimeout", form: formDuration, def: `"60s"`, doc: "Time without a byte of a request's body."},
		{name: "min_body_rate", field: "MinBodyRate", form: formSizeZero, def: `"240B"`, doc: "Bytes a second that a request's body must average once body_timeout has passed; \"0B\": any rate."},
		{name: "write_timeout", field: "WriteTimeout", form: formDuration, def: `"60s"`, doc: "Time without the client taking a byte of the response."},
		{name: "idle_timeout", field: "IdleTimeout", form: formDuration, def: `"75s"`, doc: "Time that a kept connection may be without a request."},
		{name: "shutdown_timeout", field: "ShutdownTimeout", form: formDuration, def: `"30s"`, doc: "Time that running requests have on stop."},
		{name: "types", field: "Types", form: formTypes, doc: "Media types by extension, added to the built-in table."},
	},
}

var siteSection = &section{
	title: "[[site]]",
	doc:   "Answers for some hosts on some addresses. Without any site and any `[[app.NAME.listen]]`, 127.0.0.1:8000 serves the one app.",
	keys: []key{
		{name: "listen", field: "Listen", form: formAddress, def: `["127.0.0.1:8000"]`, doc: "Addresses of the site; port 0 is any free one."},
		{name: "hosts", field: "Hosts", form: formHost, doc: "Exact names of hosts; without it: any host that no other site of the address names."},
		{name: "root", field: "Root", form: formRoot, doc: "Folder of the files that are served where no route matches."},
		{name: "access_log", field: "AccessLog", form: formLog, doc: "Access log, in the combined format; without it: none."},
		{name: "follow_symlinks", field: "FollowSymlinks", form: formBool, def: "false", doc: "Whether a symbolic link may lead out of a folder of files."},
		{name: "route", field: "Routes", doc: "A list: which paths lead where.", within: routeSection},
	},
}

var routeSection = &section{
	title: "[[site.route]]",
	doc:   "Sends the requests of some paths to files, to an app or to other servers: one of `files`, `app` and `upstream`. The first route that matches wins; with neither `path` nor `regexp` it matches every path.",
	keys: []key{
		{name: "path", field: "Path", form: formPath, doc: "An exact path (`\"/favicon.ico\"`), or a prefix (`\"/media/*\"`)."},
		{name: "regexp", field: "Regexp", form: formRegexp, doc: "In place of `path`: matched against the decoded path, anywhere in it unless anchored."},
		{name: "mount", field: "Mount", form: formPrefix, doc: "This prefix becomes the SCRIPT_NAME of the app or the back end, the rest its PATH_INFO; without it the whole path is PATH_INFO. A back end of protocol `http` gets the rest as its path, and the prefix as X-Forwarded-Prefix; one of `ajp` the whole path."},
		{name: "files", field: "Files", doc: "The files that answer.", within: filesSection},
		{name: "app", field: "App", form: formApp, doc: "The app that answers."},
		{name: "upstream", field: "Upstream", form: formUpstream, doc: "The back ends that answer."},
	},
}

var filesSection = &section{
	title:   "files of %s",
	example: "[[site.route]]",
	doc:     "A tree of files. Names that begin with a dot are never served.",
	keys: []key{
		{name: "root", field: "Root", form: formRoots, doc: "A folder, or a list of folders searched in order. The whole path is joined with it. Required."},
		{name: "strip", field: "Strip", form: formPrefix, doc: "Prefix that is dropped from the path before it is joined with `root`."},
		{name: "index", field: "Index", form: formIndex, def: `["index.html"]`, doc: "Files that answer for a folder, tried in order; an empty list: none."},
		{name: "follow_symlinks", field: "FollowSymlinks", form: formBool, doc: "Overrides the site's."},
	},
}

var appSection = &section{
	title:   "[app.%s]",
	example: "NAME",
	doc:     "One application and its pool of workers. NAME is of letters, digits, `_` and `-`.",
	keys: []key{
		{name: "wsgi", field: "WSGI", form: formCallable, doc: "The WSGI callable; Django's `module.callable` will do. Required."},
		{name: "dir", field: "Dir", form: formFolder, def: `"."`, doc: "Working folder, the first on `sys.path`."},
		{name: "venv", field: "Venv", form: formVenv, doc: "Virtual environment whose python runs the app; without it: found, like `.venv` in `dir`."},
		{name: "python", field: "Python", form: formPython, doc: "The interpreter itself; it goes before `venv`."},
		{name: "env", field: "Env", form: formEnv, doc: "Added to the app's environment."},
		{name: "method", field: "Method", form: formMethod, def: `"prefork"`, doc: "How the workers run, each answering one request at a time: `prefork` is processes, `threaded` is threads of few processes."},
		{name: "threads", field: "Threads", form: formCount, doc: "Threads of one process, for method `threaded`; without it: max_children, so that there is one process."},
		{name: "preload", field: "Preload", form: formBool, def: "true", doc: "Import the app once and fork the workers, or import it in each."},
		{name: "after_fork", field: "AfterFork", form: formHook, doc: "Called in each new worker, to reopen what must not be shared."},

		{name: "workers", field: "Workers", form: formCount, doc: "A fixed number of workers, in place of the next three."},
		{name: "min_spare", field: "MinSpare", form: formCount, def: strconv.Itoa(defaultMinSpare), fitted: true, doc: "Idle workers that are kept at least; the default gives way to the next two."},
		{name: "max_spare", field: "MaxSpare", form: formCount, def: strconv.Itoa(defaultMaxSpare), fitted: true, doc: "Idle workers that are kept at most; the default gives way to min_spare and max_children."},
		{name: "max_children", field: "MaxChildren", form: formCount, def: strconv.Itoa(defaultMaxChildren), fitted: true, doc: "Workers at most; the default gives way to the two before."},
		{name: "max_requests", field: "MaxRequests", form: formCountOrZero, def: "0", doc: "Requests after which a worker is replaced, ±10%; 0: never."},
		{name: "queue", field: "Queue", form: formCount, def: "1024", doc: "Requests that may wait for a worker; beyond it: 503."},
		{name: "request_timeout", field: "RequestTimeout", form: formDurationZero, def: `"60s"`, doc: "Time for a request, from its start in the worker; then 504, and the worker is killed; \"0s\": none."},
		{name: "startup_timeout", field: "StartupTimeout", form: formDuration, def: `"60s"`, doc: "Time for the import of the app."},
		{name: "stop_timeout", field: "StopTimeout", form: formDuration, def: `"30s"`, doc: "Time that running requests have when the app is reloaded or stopped."},
		{name: "max_body", field: "MaxBody", form: formSize, def: `"1GiB"`, doc: "The largest body of a request; beyond it: 413."},
		{name: "listen", field: "Listen", doc: "A list: addresses at which the app answers other front servers.", within: appListenSection},
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
	doc:     "Back ends that millrace does not start, used in turn. One that cannot be reached is passed over for a while, and the request goes to the next. NAME is of letters, digits, `_` and `-`.",
	keys: []key{
		{name: "protocol", field: "Protocol", form: formProtocol, doc: "What the back ends speak. Required."},
		{name: "servers", field: "Servers", form: formServers, doc: "Their addresses. Required."},
		{name: "params", field: "Params", form: formParams, doc: "Added to the parameters of each request, over what it brought; not for `http`."},
		{name: "secret", field: "Secret", form: formSecret, doc: "For `ajp`: what the back ends want to be given."},
		{name: "packet_size", field: "PacketSize", form: formSize, def: `"8KiB"`, doc: "For `ajp`: the size of its packets, `8KiB` to `64KiB`, as the back ends have it (Tomcat: packetSize)."},
		{name: "attributes", field: "Attributes", form: formAttributes, doc: "For `ajp`: parameters that are sent as request attributes (Tomcat: allowedRequestAttributesPattern)."},
		{name: "max_conns", field: "MaxConns", form: formCountOrZero, def: "0", doc: "Connections to each server at most; a request that finds none free waits for as long as `connect_timeout`, then 503; 0: as many as needed."},
		{name: "connect_timeout", field: "ConnectTimeout", form: formDuration, def: `"10s"`, doc: "Time for a connection to open; then the next server's turn."},
		{name: "timeout", field: "Timeout", form: formDuration, def: `"60s"`, doc: "Time without a byte from the back end; then 504."},
		{name: "max_body", field: "MaxBody", form: formSize, def: `"1GiB"`, doc: "The largest body of a request; beyond it: 413."},
	},
}

// planned are keys that the design has and this version has not.
func planned(s *section) []string {
	switch s {
	case serverSection:
		return []string{"user"}
	case siteSection:
		return []string{"tls"}
	case routeSection:
		return []string{"script"}
	case filesSection:
		return []string{"listing"}
	case appSection:
		return []string{"command", "protocol", "user", "slow_request", "max_memory"}
	case upstreamSection:
		return []string{"balance"}
	}
	return nil
}

func (s *section) key(name string) *key {
	for i := range s.keys {
		if s.keys[i].name == name {
			return &s.keys[i]
		}
	}
	return nil
}
