// Package config holds the configuration of millrace as typed values: what
// can be said in millrace.toml, its defaults, and the checks that need no
// running server.
//
// A file goes through Load: it is decoded (an unknown key or a wrong type is
// an error with its place and a suggestion), completed with defaults, made
// absolute (relative paths are relative to the file), and validated. Every
// problem found is reported, not just the first; only text that is not TOML
// ends at its first error. A Config that Load returns without an error can be
// served. What is odd but can be served is in Config.Warnings.
//
// A Config can also be made in code. It then goes through Complete, which is
// the second half of Load:
//
//	cfg := &config.Config{
//		Sites: []config.Site{{Routes: []config.Route{{App: "main"}}}},
//		Apps:  map[string]*config.App{"main": {WSGI: "mysite.wsgi:application"}},
//	}
//	err := cfg.Complete("/home/mysite")
//
// There a zero field means its default. Where zero itself has a meaning that
// differs from the default (Preload, RequestTimeout, MinBodyRate), Set says
// it; Set is also how a flag of the command line overrides a key.
//
// In the strings of a file ${NAME} is a variable of the environment; one that
// is not set is an error. Only "${" before a letter or "_" is special, so that
// the "$" of a regular expression stays itself; "$${NAME}" is the text ${NAME}.
//
// One table drives it all, keys.go: decoding, defaults, suggestions, and the
// tests that keep docs/millrace.sample.toml and docs/reference-config.md
// complete. A new key is a field here and a line there.
//
// Columns are counted in bytes, as Go's compiler does. Nothing is created or
// opened for writing; the file system is only looked at, for folders that
// must exist. The package knows nothing of sockets, processes or protocols;
// package server maps a Config to them.
package config

import "time"

// Size is a number of bytes. In TOML it is a string with a unit: "64KiB",
// "1GiB", "500B"; KiB, MiB, GiB are powers of 1024, KB, MB, GB of 1000.
type Size int64

// Config is one millrace.toml.
type Config struct {
	Server Server
	Sites  []Site          // [[site]]
	Apps   map[string]*App // [app.NAME]

	Upstreams map[string]*Upstream // [upstream.NAME]

	Warnings []*Error // what can be served but is hardly meant; set by Complete

	src source // what was given, and where
}

// Server holds what belongs to the whole process.
type Server struct {
	User     string // user: that the front serves as, for a start as root; empty: who started it
	Group    string // group: of the front; empty: that of User
	PIDFile  string // pidfile: holds the process id while serving; empty: none
	ErrorLog string // error_log: a file; empty: stderr
	Status   string // status: address of the status over HTTP; empty: none
	Control  string // control: Unix socket of status, reload, upgrade, stop; empty: one derived from the config's place
	Spool    string // spool: folder of request and response bodies too large for memory; default "/var/tmp"
	SpoolMax Size   // spool_max: bytes that all spooled bodies may take together; default 10GiB

	MaxHeader       Size          // max_header: request line and headers together, then 431 or 414; default 64KiB
	HeaderTimeout   time.Duration // header_timeout: to read a request's head; default 30s
	BodyTimeout     time.Duration // body_timeout: without a byte of a request's body; default 60s
	MinBodyRate     Size          // min_body_rate: bytes a second that a body must average after body_timeout; default 240B
	WriteTimeout    time.Duration // write_timeout: without the client taking a byte of the response; default 60s
	MinWriteRate    Size          // min_write_rate: bytes a second that a client must take on average after write_timeout; default 240B
	IdleTimeout     time.Duration // idle_timeout: a kept connection without a request; default 75s
	ShutdownTimeout time.Duration // shutdown_timeout: running requests may take this long on stop; default 30s

	TrustedProxies          []string // trusted_proxies: addresses, networks, "unix": they tell who the client is; empty: nobody
	ProxyHeaders            []string // proxy_headers: by which they tell; default x-forwarded-for and x-forwarded-proto
	MaxConnections          int      // max_connections: of clients to all sites, then 503; 0, the default: any
	MaxConnectionsPerClient int      // max_connections_per_client: of them; 0, the default: any

	Types map[string]string // [server.types]: extension (".foo") to media type, added to the built-in table

	FileCache FileCache // [server.file_cache]

	CompressCache Size // compress_cache: of compressed files in memory; default 16MiB; 0: none

	Cache CacheStore // [server.cache]
}

// FileCache is what is kept of files that were served, of all trees together.
type FileCache struct {
	Files       int           // files: whose metadata is kept; default 4096
	Size        Size          // size: of the contents of small files together; default 16MiB
	Descriptors int           // descriptors: files that nobody reads and that are kept open; default 256
	Check       time.Duration // check: how long a file is believed to be as it was; default 1s
}

// Site answers for some hosts on some addresses.
type Site struct {
	Listen         []string // "127.0.0.1:8000", ":8000", "unix:/run/x.sock"; default 127.0.0.1:8000
	Hosts          []string // names, without a port, "*.example.com", "~regexp"; empty: any host
	Default        bool     // default: it answers for the hosts that no site of the address names; default false
	Root           string   // root: files served where no route matches; empty: none
	AccessLog      string   // access_log: "-" is stdout; empty: none
	TLS            *TLS     // [site.tls]: on all of Listen; nil: none
	Routes         []Route  // first match wins
	RequestID      bool     // request_id: responses carry X-Request-ID; default false
	Maintenance    string   // maintenance: page of `millrace maintenance on`; empty: a plain one
	FollowSymlinks bool     // follow_symlinks: a link may lead out of a files root; default false

	Types map[string]string // types: endings (".foo"), names and "" to media types, in place of the built-in table; nil: that

	Headers          *Headers          // headers = {...}: of all responses
	ErrorPages       map[string]string // error_pages: "404", "5xx" to what ErrorPage takes apart
	ErrorPagesOfApps bool              // error_pages_of_apps: also for errors that an app or a back end answers; default false
	Maps             map[string]*Map   // [site.map.NAME]
	LogFormat        string            // log_format: "combined" (default), "vhost", "json", or a text with placeholders
	AccessLogMaxSize Size              // access_log_max_size: then it is renamed; default 0: never
	AccessLogKeep    int               // access_log_keep: how many of the renamed ones are kept; default 5
	Compress         *Compress         // compress = {...} or true, false; nil: with its defaults
	ProxyProtocol    bool              // proxy_protocol: connections to Listen begin with a header of it; default false
	Allow            []string          // allow: clients that may; empty: all. "192.0.2.0/24", "unix"
	Deny             []string          // deny: clients that may not
	BasicAuth        *BasicAuth        // basic_auth = {...}: of all routes that have none
	Limit            *RateLimit        // limit = {...}: of all routes together that have none
}

// Route sends the requests of some paths to files or to an app.
// Without any condition it matches every request.
type Route struct {
	Path   string // path: "/media/*" a prefix, "/favicon.ico" exact
	Regexp string // regexp: Go syntax, on the decoded path
	URI    string // uri: the same, on path and query, encoded
	Mount  string // mount: this prefix becomes SCRIPT_NAME; default none
	Files  *Files // files = {...}
	App    string // app = "NAME" of [app.NAME]

	Upstream string // upstream = "NAME" of [upstream.NAME]

	Status bool // status = true: the server's status
	Health bool // health = true: 200 while every app serves

	Script   *Script   // script = {...}: which file App or Upstream runs
	CGI      *CGI      // cgi = {...}: a folder of CGI programs
	UserDirs *UserDirs // user_dirs = {...}: folders in the homes of users

	Redirect *Redirect // redirect = {...}
	Respond  *Respond  // respond = {...}

	Method Strings           // method: see Match
	Header map[string]string // header
	Query  map[string]string // query
	Cookie map[string]string // cookie
	Client Strings           // client
	Value  map[string]string // value
	Exists map[string]string // exists
	Not    *Match            // not = {...}
	Any    []Match           // any = [{...}]: one of which must hold

	Group string // group: only requests that are sent to it come to the route; empty: every request
	Goto  string // goto = "NAME" of a group, whose routes the request goes on with

	Rewrite  *Rewrite // rewrite = {...}
	TryFiles []string // try_files: files that are looked for, then a path to go on with, or "=404"
	Headers  *Headers // headers = {...}: of the responses of the route

	ErrorPages       map[string]string // error_pages: in place of the site's; nil: those
	ErrorPagesOfApps *bool             // error_pages_of_apps: overrides the site's

	RequestHeaders *RequestHeaders // request_headers = {...}: of requests to the app or the back ends
	Reverse        *Reverse        // reverse = {...}: places in responses of back ends; nil: automatic

	Unlogged bool // unlogged: what it answers is not in the access log; default false

	Params      map[string]string // params: of each request to the app or the back ends, with placeholders
	Internal    bool              // internal: only for requests that begin within: X-Accel-Redirect, error pages; default false
	XSendfile   Strings           // x_sendfile: folders out of which X-Sendfile may send; nil: none, and no X-Accel-Redirect
	Compress    *Compress         // compress: in place of the site's; nil: the site's
	BasicAuth   *BasicAuth        // basic_auth: in place of the site's; nil: the site's
	Auth        *Auth             // auth = "/path" or {...}: somebody else is asked
	Filter      *Filter           // filter = "NAME" or {...}: of an app that works over the answers
	Cache       *Cache            // cache = {...} or true: of responses; nil: none
	Allow       []string          // allow: as the site's, of those that it lets in
	Deny        []string          // deny: as the site's
	Limit       *RateLimit        // limit: in place of the site's; nil: the site's
	MaxBody     Size              // max_body: then 413; 0: what the app or the back ends have
	BodyTimeout time.Duration     // body_timeout; 0: Server's
	MinBodyRate Size              // min_body_rate; 0: Server's

	WriteTimeout time.Duration // write_timeout; 0: Server's
	MinWriteRate Size          // min_write_rate; 0: Server's
}

// Files is a tree of files.
type Files struct {
	Root           Strings  // root: a folder, or a list of folders searched in order
	Strip          string   // strip: prefix dropped from the path before it is joined with Root
	Index          []string // index: files that answer for a folder; default ["index.html"]
	FollowSymlinks *bool    // follow_symlinks: overrides the site's

	Listing       *Listing      // listing = true or {...}: list folders without index; default: not
	Precompressed bool          // precompressed: serve NAME.br, NAME.zst, NAME.gz in place of NAME; default false
	Immutable     Immutable     // immutable: paths whose files never change: "true" (hashed names), a regexp; default: none
	CacheControl  string        // cache_control: of the others; default: none
	Expires       time.Duration // expires: in place of CacheControl, its max-age; default: none

	Types map[string]string // types: in place of the site's; nil: those
}

// Listing is how folders are listed.
type Listing struct {
	Off  bool   // listing = false
	Sort string // sort: "name" (default), "size" or "time", with "-" in front: the largest first
	Page int    // page: entries on a page; default 500
	Max  int    // max: entries that are looked at; default 20000
	Hide string // hide: a regexp in Go's syntax of names that are not shown; default: none
}

// Immutable says which paths' files never change: "true" is those with a hash
// in their names, "false" and "" none, anything else a regexp in Go's syntax.
type Immutable string

// Strings is a list that TOML may give as one string.
type Strings []string

// App is one application and its pool of workers.
type App struct {
	WSGI        string   // wsgi: "module:callable" (or Django's "module.callable"); required, unless there is Command
	Command     []string // command: a program and its arguments, in place of WSGI
	Protocol    string   // protocol: that Command speaks: "fastcgi" (default), "scgi", "uwsgi", "ajp" or "http"
	Concurrency int      // concurrency: requests that a process of Command is given at a time; default 1

	Params map[string]string // params: added to the parameters of each request to Command, over what the request brought; not for http

	Dir    string // dir: working folder, first on sys.path; default: the config file's folder
	Venv   string // venv: virtual environment whose python runs the app; empty: found, see serve
	Python string // python: the interpreter itself; empty: from Venv, else found

	Env     map[string]string // env: added to the app's environment
	EnvFile Strings           // env_file: files of NAME=value, "credential:NAME" of systemd; added before Env
	Secrets map[string]string // secrets: variables whose values are contents of files, or "credential:NAME"
	User    string            // user: that the app runs as, for a start as root; empty: Server.User
	Group   string            // group; empty: that of User
	Umask   string            // umask: octal; empty: as we were started
	Chroot  string            // chroot: folder that is the app's root, for a start as root; empty: none
	Rlimits map[string]string // rlimits: "nofile": "1024", "as": "1GiB", "core": "unlimited"

	Method      string        // method: "prefork" (default): each worker a process; "threaded": each a thread; "cgi": a process a request
	Threads     int           // threads: of one process; for threaded by default max_children, so that there is one process
	Scaling     string        // scaling: "dynamic" (default), "static" or "ondemand"
	IdleTimeout time.Duration // idle_timeout: of a worker, for ondemand; default 10s
	Preload     Preload       // preload: import once and fork (default true), or import in each worker; or "require"
	WarmUp      string        // warm_up: path that is requested after the import, before the first fork; empty: none
	AfterFork   string        // after_fork: "module:callable" called in each new worker

	Workers     int           // workers: a fixed number; sets min_spare, max_spare and max_children to it
	MinSpare    int           // min_spare: idle workers kept at least; default 2
	MaxSpare    int           // max_spare: idle workers kept at most; default 5
	MaxChildren int           // max_children: workers at most; default 20; processes, where prefork has Threads
	MaxRequests int           // max_requests: then a worker is replaced (±10%); 0, the default: never
	MaxMemory   Size          // max_memory: resident, of a process; then it is replaced; 0, the default: any
	MaxLifetime time.Duration // max_lifetime: then a worker is replaced (±10%); 0, the default: any

	Queue          int           // queue: requests that may wait for a worker; then 503; default 1024
	QueueTimeout   time.Duration // queue_timeout: of a request in the queue; then 503; 0, the default: any
	RequestTimeout time.Duration // request_timeout: from its start in the worker; then kill and 504; default 60s; 0: none
	SlowRequest    time.Duration // slow_request: from its start; then a traceback is logged; 0, the default: none
	SlowLog        string        // slow_log: of those tracebacks; empty: the error log
	Retry          bool          // retry: run an idempotent request whose worker died once more; default false
	StartupTimeout time.Duration // startup_timeout: the import of the app; default 60s
	StopTimeout    time.Duration // stop_timeout: running requests on reload and stop; default 30s
	MaxBody        Size          // max_body: then 413; default 1GiB

	TracebackTo Strings              // traceback_to: clients that are shown tracebacks; empty: none, in development this machine
	Cron        []string             // cron: lines of a crontab
	Attached    map[string]*Attached // [app.NAME.attached.NAME]
	Listen      []AppListen          // [[app.NAME.listen]]: for other front servers
}

// Preload says whether an app is imported once for all its workers: "true",
// "false", or "require": it is an error if it cannot be. Empty: the default.
type Preload string

// On reports whether the app is to be imported once.
func (p Preload) On() bool { return p != "false" }

// Required reports whether anything else is an error.
func (p Preload) Required() bool { return p == "require" }

// Attached is a program that lives and reloads with an app.
type Attached struct {
	Command     []string          // command; required
	Env         map[string]string // env: added to the app's
	Count       int               // count: how many of it run; default 1
	StopSignal  string            // stop_signal: "TERM" (default), "INT", "QUIT", "HUP", "USR1", "USR2"
	StopTimeout time.Duration     // stop_timeout: then it is killed; default 30s
}

// AppListen is an address at which an app answers other front servers.
type AppListen struct {
	Protocol string   // protocol: "fastcgi", "scgi", "uwsgi", "ajp" or "http"; required
	Address  string   // address: "127.0.0.1:9000", "unix:/run/x.sock", or "fd:0" for an inherited socket; required
	Mode     string   // mode: of a Unix socket, octal; default "0666"
	Mount    string   // mount: this prefix of the path becomes SCRIPT_NAME; default: as the front server says
	Secret   string   // secret: that an AJP front server must give; without one AJP listens on loopback alone
	Allow    []string // allow: addresses that may connect, over TCP; empty: all. "192.0.2.1", "192.0.2.0/24"

	PacketSize Size     // packet_size: of AJP; default 8KiB
	Attributes []string // attributes: of AJP, that become parameters
	Lighttpd   bool     // lighttpd: it is the AJP front server, and departs from the protocol; default false
}

// Upstream is a group of back ends that we did not start.
type Upstream struct {
	Protocol string            // protocol: "fastcgi", "scgi", "uwsgi", "ajp", "http", "https", "h2" or "h2c"; required
	Servers  []UpstreamServer  // servers: "10.0.0.1:9000", or tables; required
	Params   map[string]string // params: added to each request's parameters, over what the request brought; not for http
	Secret   string            // secret: for an AJP back end

	PacketSize Size     // packet_size: of AJP; default 8KiB
	Attributes []string // attributes: parameters that go to an AJP back end as request attributes

	TLS *UpstreamTLS // tls = {...}: to the back ends; nil: with the defaults

	MaxConns int // max_conns: connections to each server at most; default 0: as many as needed, or as a FastCGI back end allows

	Balance      string        // balance: "least-busy" (default), "round-robin", "hash", "random-two"
	Hash         string        // hash: what "hash" goes by, with placeholders
	Sticky       *Sticky       // sticky = {...}; nil: none
	MaxFails     int           // max_fails: within FailTimeout, then a server is passed over; default 1; 0: never
	FailTimeout  time.Duration // fail_timeout; default 10s
	Health       *Health       // health = {...}; nil: nothing is asked
	SlowStart    time.Duration // slow_start: until a server that is back has its whole weight; default 0
	Queue        int           // queue: requests that may wait; default 1024
	QueueTimeout time.Duration // queue_timeout: then 503; default 10s
	Resolve      time.Duration // resolve: how often names are looked up; default 0: with each connection
	Retries      int           // retries: of what may have been seen; default 3
	RetryOn      []string      // retry_on; default all of "connect", "error", "timeout", "502", "503", "504"
	RetryTimeout time.Duration // retry_timeout: nothing is sent again after it; default 2m; 0: any time
	RetryUnsafe  bool          // retry_unsafe: also what is not idempotent; default false

	ConnectTimeout time.Duration // connect_timeout; default 10s
	Timeout        time.Duration // timeout: without a byte from the back end; default 60s
	MaxBody        Size          // max_body: then 413; default 1GiB

	Buffering        bool          // buffering: of responses; default true
	RequestBuffering bool          // request_buffering: of bodies of requests; default true
	Upgrade          bool          // upgrade: WebSocket and the like, over http; default true
	UpgradeTimeout   time.Duration // upgrade_timeout: without a byte of either side; default 1h
}
