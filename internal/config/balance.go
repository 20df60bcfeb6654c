package config

// What balances the back ends of a group.

import "time"

// UpstreamServer is one of servers: a text is its address.
type UpstreamServer struct {
	Address  string // address: "10.0.0.1:9000", "unix:/run/x.sock"; required
	Weight   int    // weight: its share; default 1
	Backup   bool   // backup: it has its turn when no other is up; default false
	Drain    bool   // drain: it gets no requests; default false
	MaxConns int    // max_conns; default 0: the group's
}

// Sticky is the cookie that brings a client back to its server.
type Sticky struct {
	Cookie string        // cookie: its name; required
	Secret string        // secret: what its value is made with; empty: one of this process
	Path   string        // path; default "/"
	MaxAge time.Duration // max_age; default 0: until the browser is closed
}

// Health is how back ends are asked how they are.
type Health struct {
	Off      bool          // health = false
	Path     string        // path: of HTTP
	Host     string        // host: of HTTP; empty: the server's address
	Status   []string      // status: of HTTP, "200", "2xx"; empty: 200 to 399
	Connect  bool          // connect: that alone is tried; default false
	Interval time.Duration // interval: between checks; default 5s
	Timeout  time.Duration // timeout: of a check; default 2s
	Passes   int           // passes: in a row, until it is used again; default 2
	Fails    int           // fails: in a row, until it is not used; default 2
}
