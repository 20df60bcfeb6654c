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
	PIDFile  string // pidfile: holds the process id while serving; empty: none
	ErrorLog string // error_log: a file; empty: stderr
	Control  string // control: Unix socket of status, reload, stop; empty: one derived from the config's place
	Spool    string // spool: folder of request and response bodies too large for memory; default "/var/tmp"
	SpoolMax Size   // spool_max: bytes that all spooled bodies may take together; default 10GiB

	MaxHeader       Size          // max_header: request line and headers together, then 431; default 64KiB
	HeaderTimeout   time.Duration // header_timeout: to read a request's head; default 30s
	BodyTimeout     time.Duration // body_timeout: without a byte of a request's body; default 60s
	MinBodyRate     Size          // min_body_rate: bytes a second that a body must average after body_timeout; default 240B
	WriteTimeout    time.Duration // write_timeout: without the client taking a byte of the response; default 60s
	IdleTimeout     time.Duration // idle_timeout: a kept connection without a request; default 75s
	ShutdownTimeout time.Duration // shutdown_timeout: running requests may take this long on stop; default 30s

	Types map[string]string // [server.types]: extension (".foo") to media type, added to the built-in table
}

// Site answers for some hosts on some addresses.
type Site struct {
	Listen         []string // "127.0.0.1:8000", ":8000", "unix:/run/x.sock"; default 127.0.0.1:8000
	Hosts          []string // exact names, without a port; empty: any host
	Root           string   // root: files served where no route matches; empty: none
	AccessLog      string   // access_log: combined format; "-" is stdout; empty: none
	Routes         []Route  // first match wins
	FollowSymlinks bool     // follow_symlinks: a link may lead out of a files root; default false
}

// Route sends the requests of some paths to files or to an app.
// Without Path and Regexp it matches every path.
type Route struct {
	Path   string // path: "/media/*" a prefix, "/favicon.ico" exact
	Regexp string // regexp: Go syntax, on the decoded path
	Mount  string // mount: this prefix becomes SCRIPT_NAME; default none
	Files  *Files // files = {...}
	App    string // app = "NAME" of [app.NAME]

	Upstream string // upstream = "NAME" of [upstream.NAME]
}

// Files is a tree of files.
type Files struct {
	Root           Strings  // root: a folder, or a list of folders searched in order
	Strip          string   // strip: prefix dropped from the path before it is joined with Root
	Index          []string // index: files that answer for a folder; default ["index.html"]
	FollowSymlinks *bool    // follow_symlinks: overrides the site's
}

// Strings is a list that TOML may give as one string.
type Strings []string

// App is one application and its pool of workers.
type App struct {
	WSGI      string            // wsgi: "module:callable" (or Django's "module.callable"); required
	Dir       string            // dir: working folder, first on sys.path; default: the config file's folder
	Venv      string            // venv: virtual environment whose python runs the app; empty: found, see serve
	Python    string            // python: the interpreter itself; empty: from Venv, else found
	Env       map[string]string // env: added to the app's environment
	Method    string            // method: "prefork" (default): each worker a process; "threaded": each a thread
	Threads   int               // threads: of one process when threaded; default: max_children, so that there is one process
	Preload   bool              // preload: import once and fork (default true), or import in each worker
	AfterFork string            // after_fork: "module:callable" called in each new worker

	Workers        int           // workers: a fixed number; sets min_spare, max_spare and max_children to it
	MinSpare       int           // min_spare: idle workers kept at least; default 2
	MaxSpare       int           // max_spare: idle workers kept at most; default 5
	MaxChildren    int           // max_children: workers at most; default 20
	MaxRequests    int           // max_requests: then a worker is replaced (±10%); 0, the default: never
	Queue          int           // queue: requests that may wait for a worker; then 503; default 1024
	RequestTimeout time.Duration // request_timeout: from its start in the worker; then kill and 504; default 60s; 0: none
	StartupTimeout time.Duration // startup_timeout: the import of the app; default 60s
	StopTimeout    time.Duration // stop_timeout: running requests on reload and stop; default 30s
	MaxBody        Size          // max_body: then 413; default 1GiB

	Listen []AppListen // [[app.NAME.listen]]: for other front servers
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
	Protocol string            // protocol: "fastcgi", "scgi", "uwsgi", "ajp" or "http"; required
	Servers  []string          // servers: "10.0.0.1:9000", "unix:/run/x.sock"; required
	Params   map[string]string // params: added to each request's parameters, over what the request brought; not for http
	Secret   string            // secret: for an AJP back end

	PacketSize Size     // packet_size: of AJP; default 8KiB
	Attributes []string // attributes: parameters that go to an AJP back end as request attributes

	MaxConns int // max_conns: connections to each server at most; default 0: as many as needed, or as a FastCGI back end allows

	ConnectTimeout time.Duration // connect_timeout; default 10s
	Timeout        time.Duration // timeout: without a byte from the back end; default 60s
	MaxBody        Size          // max_body: then 413; default 1GiB
}
