package adapt

// The arguments of runfcgi: Django's key=value, django-fcgi.py's --key=value,
// --key value and -k value. Keys are case-insensitive.

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"

	"millrace/internal/config"
)

// Runfcgi is what the arguments of `millrace runfcgi` say. Paths are absolute.
type Runfcgi struct {
	Protocol string // as config.AppListen names it
	Address  string // "host:port" or "unix:/path"; empty: descriptor 0
	Secret   string // of AJP
	Method   string // as config.App names it; empty: not said

	// Numbers of workers; 0: not said. MaxRequests is said when it is not 0.
	MinSpare, MaxSpare, MaxChildren int
	MaxRequests                     int

	Daemonize bool   // said; or nothing is said, and there is an address
	Workdir   string // empty: not said
	Umask     int    // -1: not said
	PIDFile   string
	OutLog    string
	ErrLog    string
	Control   string

	Debug      bool
	Settings   string
	PythonPath []string
	App        string // "module:callable", the name of an app of the configuration, or empty
	Dir        string // where the app is looked for; never empty
	Venv       string

	Help   bool   // it was asked for; nothing else counts
	Script string // the file of the "#!" line that ran this; empty: none

	host, port, socket string
	said               map[string]said
}

// said is an option with its value, as somebody wrote it.
type said struct {
	value string
	base  string // the folder that relative paths are relative to
	place string // for errors: "mysite.fcgi:3", or empty
	late  bool   // after the script: goes before what the script says
}

// RunfcgiOptions says where arguments come from.
type RunfcgiOptions struct {
	Dir string // the current folder, absolute

	// CGI says that a web server runs the command for a request. What then
	// follows a script is not an administrator's: it is the query of the
	// request, where that has no "=" (RFC 3875, section 4.4). It is ignored.
	CGI bool
}

// ParseRunfcgi reads arguments. The error is an *ArgumentError.
func ParseRunfcgi(args []string, o RunfcgiOptions) (*Runfcgi, error) {
	r := &Runfcgi{Protocol: "fastcgi", Umask: -1, Dir: o.Dir, said: map[string]said{}}
	before, script, after := splitScript(args)
	from := said{base: o.Dir}
	if script != "" {
		s, err := readScript(under(o.Dir, script))
		if err != nil {
			return nil, err
		}
		r.Script, r.Dir = s.path, s.dir
		for _, line := range s.lines {
			if err := r.word(line.text, said{base: s.dir, place: fmt.Sprintf("%s:%d", s.path, line.number)}); err != nil {
				return nil, err
			}
		}
		if from = (said{base: s.dir, place: s.path + ":1"}); len(before) == 0 { // typed: the system would have given them
			before = s.interpreter
		}
	}
	if err := r.words(before, from); err != nil {
		return nil, err
	}
	if !o.CGI {
		if err := r.words(after, said{base: o.Dir, late: true}); err != nil {
			return nil, err
		}
	}
	if r.Help {
		return r, nil
	}
	if err := r.keep(); err != nil {
		return nil, err
	}
	return r, r.settle()
}

// words reads a line of arguments.
func (r *Runfcgi) words(args []string, from said) error {
	for i := 0; i < len(args); i++ {
		word := args[i]
		switch o := shortOption(word); {
		case word == "-h" && i+1 == len(args): // with a value it is django-fcgi.py's --host
			word = "help"
		case o == nil && isShort(word):
			return &ArgumentError{
				Place: from.place, Problem: "unknown option " + quote(word),
				Fix: "the letters are -f settings, -s socket, -h host, -p port; millrace runfcgi help lists all options",
			}
		case o != nil && len(word) > 2:
			word = o.name + "=" + strings.TrimPrefix(word[2:], "=")
		case o != nil:
			word = "--" + o.name
		}
		if takesNext(word) {
			if i++; i == len(args) {
				return missing(word[2:], from.place)
			}
			word += "=" + args[i]
		}
		if err := r.word(word, from); err != nil {
			return err
		}
	}
	return nil
}

// isShort reports whether an argument is a letter with "-" before it.
func isShort(word string) bool { return len(word) >= 2 && word[0] == '-' && word[1] != '-' }

func shortOption(word string) *option {
	for i := range options {
		if isShort(word) && options[i].short == word[1] {
			return &options[i]
		}
	}
	return nil
}

// word reads one argument or one line of a script.
func (r *Runfcgi) word(word string, from said) error {
	text := strings.TrimPrefix(word, "--")
	name, value, hasValue := strings.Cut(text, "=")
	name = strings.TrimSpace(name)
	if strings.EqualFold(name, "help") && !hasValue {
		r.Help = true
		return nil
	}
	o := find(name)
	if o == nil {
		return unknown(word, name, hasValue, from.place)
	}
	if !hasValue {
		if !o.flag {
			return missing(name, from.place)
		}
		value = "true"
	}
	from.value = value
	if old, twice := r.said[o.name]; twice && old.late == from.late {
		return &ArgumentError{
			Place: from.place, Fix: "give it once",
			Problem: fmt.Sprintf("%s is given twice: %s and %s", o.name, quote(old.value), quote(value)),
		}
	}
	r.said[o.name] = from
	return nil
}

func missing(name, place string) error {
	o := find(name)
	return &ArgumentError{Place: place, Problem: fmt.Sprintf("%s has no value; it takes %s", o.name, o.takes), Fix: fmt.Sprintf("write %s=%s", o.name, o.value)}
}

func unknown(word, name string, hasValue bool, place string) error {
	e := &ArgumentError{Place: place, Problem: "unknown option " + quote(name), Fix: "millrace runfcgi help lists the options"}
	if !hasValue && !strings.HasPrefix(word, "-") {
		e.Problem = quote(word) + " is neither KEY=VALUE nor a script that there is"
	}
	if near := nearest(name); near != nil {
		e.Fix = fmt.Sprintf("did you mean %s=%s?", near.name, near.value)
	} else if !hasValue && callable.MatchString(word) {
		e.Fix = "write app=" + word
	}
	return e
}

// keep checks each value on its own.
func (r *Runfcgi) keep() error {
	for i := range options {
		o := &options[i]
		s, ok := r.said[o.name]
		if ok && !o.set(r, strings.TrimSpace(s.value), s.base) {
			return &ArgumentError{
				Place:   s.place,
				Problem: fmt.Sprintf("%s=%s can't be: it takes %s", o.name, quote(s.value), o.takes),
				Fix:     "millrace runfcgi help lists the options",
			}
		}
	}
	return nil
}

// settle checks how the values go together.
func (r *Runfcgi) settle() error {
	switch {
	case r.has("socket") && (r.has("host") || r.has("port")):
		other := "host"
		if !r.has("host") {
			other = "port"
		}
		return r.wrong("socket", fmt.Sprintf("does not go with %s=%s: it takes the place of host and port", other, quote(r.said[other].value)), "leave out one of the two")
	case r.has("host") && !r.has("port"):
		return r.wrong("host", "is only half an address: it takes a port as well", "write host=HOST port=PORT, or socket=FILE")
	case r.has("port") && !r.has("host"):
		return r.wrong("port", "is only half an address: it takes a host as well", "write host=127.0.0.1 port=PORT, or socket=FILE")
	case r.has("socket"):
		r.Address = "unix:" + r.socket
	case r.has("host"):
		r.Address = net.JoinHostPort(r.host, r.port)
	}
	if r.has("secret") && r.Protocol != "ajp" {
		return r.wrong("secret", "has no meaning: it takes protocol=ajp", "leave it out")
	}
	if r.Umask >= 0 && r.Umask&0o600 != 0 && r.has("socket") {
		return r.wrong("umask", "would keep the owner of the socket out: with a socket it takes 000 to 177", "write umask=077 to let nobody else connect")
	}
	if r.Protocol == "ajp" && !r.has("secret") && r.has("host") && !loopback(r.host) {
		return r.wrong("host", "can be reached from outside; with protocol=ajp, which believes whoever connects, it takes a secret", "add secret=TEXT, the same as the front server's; or write host=127.0.0.1")
	}
	if !r.has("daemonize") {
		r.Daemonize = r.Address != ""
	} else if r.Daemonize && r.Address == "" {
		return r.wrong("daemonize", "takes an address: a daemon has no descriptor 0", "add socket=FILE, or host=HOST and port=PORT; or write daemonize=false")
	}
	for _, other := range []struct{ name, path string }{{"socket", r.socket}, {"errlog", r.ErrLog}, {"outlog", r.OutLog}, {"control", r.Control}} {
		if r.PIDFile != "" && r.PIDFile == other.path {
			return r.wrong("pidfile", "is the "+other.name+" as well; it takes a file of its own", "name another file")
		}
	}
	return r.numbers()
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && ip.IsLoopback()
}

// numbers refuses what contradicts itself; defaults give way.
func (r *Runfcgi) numbers() error {
	all := []struct {
		name  string
		value int
	}{{"minspare", r.MinSpare}, {"maxspare", r.MaxSpare}, {"maxchildren", r.MaxChildren}}
	for i, less := range all {
		for _, more := range all[i+1:] {
			if more.value != 0 && less.value > more.value {
				return r.wrong(less.name, fmt.Sprintf("is more than %s=%d; it takes minspare ≤ maxspare ≤ maxchildren", more.name, more.value), "change one of the two")
			}
		}
	}
	return nil
}

func (r *Runfcgi) has(name string) bool { _, ok := r.said[name]; return ok }

// wrong is a value that can't be beside another.
func (r *Runfcgi) wrong(name, problem, fix string) error {
	return &ArgumentError{Place: r.said[name].place, Problem: fmt.Sprintf("%s=%s %s", name, quote(r.said[name].value), problem), Fix: fix}
}

// Wrong is the *ArgumentError of an option that turned out wrong, as a folder
// that is not there.
func (r *Runfcgi) Wrong(name, problem, fix string) error { return r.wrong(name, problem, fix) }

// Log is the file of the error log; empty: stderr.
func (r *Runfcgi) Log() string {
	if r.ErrLog == "" {
		return r.OutLog
	}
	return r.ErrLog
}

// Inherited is the address of descriptor 0.
const Inherited = "fd:0"

// Apply makes a configuration that serves one of c's apps, at the address of
// the arguments alone. allow are the addresses of clients that may connect
// over TCP; nil: all. Of c's [server], the pidfile, the logs and the control
// socket are replaced. Complete is to be called afterwards.
func (r *Runfcgi) Apply(c *config.Config, allow []string) error {
	name, err := r.app(c)
	if err != nil {
		return err
	}
	fresh := !c.Loaded()
	c.Only(name)
	c.Server.PIDFile, c.Server.Control, c.Server.ErrorLog = r.PIDFile, r.Control, r.Log()
	c.Apps[name].Listen = []config.AppListen{{Protocol: r.Protocol}}
	if err := r.listen(c, allow); err != nil {
		return err
	}
	return r.workers(c, fresh)
}

// listen sets the address, so that an error of it names the option.
func (r *Runfcgi) listen(c *config.Config, allow []string) error {
	type setting struct {
		origin, key string
		values      []string
	}
	all := []setting{{"descriptor 0", "address", []string{Inherited}}}
	switch {
	case r.socket != "":
		all[0] = setting{"socket=" + r.socket, "address", []string{r.Address}}
	case r.host != "":
		all[0] = setting{"host=" + r.host + " port=" + r.port, "address", []string{r.Address}}
	}
	if r.Secret != "" {
		all = append(all, setting{"secret", "secret", []string{r.Secret}})
	}
	if len(allow) > 0 {
		all = append(all, setting{"FCGI_WEB_SERVER_ADDRS", "allow", allow})
	}
	if r.Umask >= 0 && r.socket != "" {
		all = append(all, setting{fmt.Sprintf("umask=%03o", r.Umask), "mode", []string{fmt.Sprintf("%04o", 0o666&^r.Umask)}})
	}
	for _, s := range all {
		if err := c.Set(s.origin, "app.listen."+s.key, s.values...); err != nil {
			return err
		}
	}
	return nil
}

// app is the name of the app that is served.
func (r *Runfcgi) app(c *config.Config) (string, error) {
	names := slices.Sorted(maps.Keys(c.Apps))
	switch {
	case r.App != "" && appName.MatchString(r.App):
		if slices.Contains(names, r.App) {
			return r.App, nil
		}
		return "", r.wrong("app", "is no app of the configuration in "+r.Dir, "the apps are "+strings.Join(names, ", ")+"; or write app=module:callable")
	case len(names) == 1:
		return names[0], nil
	case len(names) == 0:
		return "", &ArgumentError{Problem: "the configuration in " + r.Dir + " has no app", Fix: "write app=module:callable, or dir=FOLDER"}
	}
	return "", &ArgumentError{Problem: fmt.Sprintf("the configuration in %s has %d apps: it takes app=NAME", r.Dir, len(names)), Fix: "the apps are " + strings.Join(names, ", ")}
}

// workers sets the numbers that were said, and defaults: Django's where
// nothing else says any (fresh), one worker on descriptor 0, since the front
// server starts as many of us as it needs.
func (r *Runfcgi) workers(c *config.Config, fresh bool) error {
	set := func(option, key string, value any) error {
		return c.Set(option+"="+fmt.Sprint(value), "app."+key, fmt.Sprint(value))
	}
	if r.Method != "" {
		if err := set("method", "method", r.Method); err != nil {
			return err
		}
	}
	if r.has("maxrequests") {
		if err := set("maxrequests", "max_requests", r.MaxRequests); err != nil {
			return err
		}
	}
	spare := r.MinSpare > 0 || r.MaxSpare > 0 || r.MaxChildren > 0
	if r.Address == "" && !spare {
		return set("workers", "workers", 1)
	}
	most := r.MaxChildren
	if most == 0 && fresh {
		most = max(defaultMaxChildren, r.MinSpare, r.MaxSpare)
	}
	for _, n := range []struct {
		option, key string
		value       int
	}{{"minspare", "min_spare", r.MinSpare}, {"maxspare", "max_spare", r.MaxSpare}, {"maxchildren", "max_children", most}} {
		if n.value == 0 {
			continue
		}
		if err := set(n.option, n.key, n.value); err != nil {
			return err
		}
	}
	return nil
}
