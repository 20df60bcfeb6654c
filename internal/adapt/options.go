package adapt

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"millrace/internal/suggest"
)

// option is one option of runfcgi.
type option struct {
	name  string
	alias []string // other names, all lower case
	short byte     // django-fcgi.py's letter
	flag  bool     // alone it means true
	value string   // its value's name, for the help
	takes string   // for errors
	def   string   // for the help; empty: none
	doc   string

	// set keeps a value. It returns false for one that it does not take.
	set func(r *Runfcgi, value, base string) bool
}

// options are all of them, in the order of the help. Those from "dir" on are
// millrace's own.
var options = []option{
	{
		name: "protocol", value: "PROTOCOL", def: "fcgi", takes: "fcgi (or fastcgi), scgi, ajp, uwsgi or http",
		doc: "What the front server speaks: `fcgi`, `scgi`, `ajp`, `uwsgi` or `http`.",
		set: func(r *Runfcgi, value, _ string) bool {
			r.Protocol = protocols[strings.ToLower(value)]
			return r.Protocol != ""
		},
	},
	{
		name: "host", short: 'h', value: "HOST", takes: "the name or the number of an address of this machine",
		doc: "Listen on TCP: the address. Needs `port`.",
		set: func(r *Runfcgi, value, _ string) bool {
			r.host = strings.Trim(value, "[]")
			return hostName.MatchString(r.host)
		},
	},
	{
		name: "port", short: 'p', value: "PORT", takes: "a number from 1 to 65535, or 0 for any free port",
		doc: "Listen on TCP: the port; 0 is any free one. Needs `host`.",
		set: func(r *Runfcgi, value, _ string) bool {
			n, err := strconv.ParseUint(value, 10, 16)
			r.port = strconv.FormatUint(n, 10)
			return err == nil
		},
	},
	{
		name: "socket", short: 's', value: "FILE", takes: "the path of a file",
		doc: "Listen on a Unix socket, in place of `host` and `port`. With none of the three, descriptor 0 decides.",
		set: file(func(r *Runfcgi) *string { return &r.socket }),
	},
	{
		name: "method", value: "METHOD", def: "prefork", takes: "prefork (or fork), or threaded (or thread)",
		doc: "How workers run: `prefork` (or `fork`), each a process, or `threaded` (or `thread`), each a thread.",
		set: func(r *Runfcgi, value, _ string) bool {
			r.Method = methods[strings.ToLower(value)]
			return r.Method != ""
		},
	},
	{
		name: "minspare", value: "N", def: strconv.Itoa(defaultMinSpare), takes: "a whole number from 1 on",
		doc: "Idle workers that are kept at least.",
		set: number(1, func(r *Runfcgi) *int { return &r.MinSpare }),
	},
	{
		name: "maxspare", value: "N", def: strconv.Itoa(defaultMaxSpare), takes: "a whole number from 1 on",
		doc: "Idle workers that are kept at most.",
		set: number(1, func(r *Runfcgi) *int { return &r.MaxSpare }),
	},
	{
		name: "maxchildren", value: "N", def: strconv.Itoa(defaultMaxChildren), takes: "a whole number from 1 on",
		doc: "Workers at most.",
		set: number(1, func(r *Runfcgi) *int { return &r.MaxChildren }),
	},
	{
		name: "maxrequests", value: "N", def: "0", takes: "a whole number; 0 is no limit",
		doc: "Requests after which a worker is replaced (±10%); 0: never.",
		set: number(0, func(r *Runfcgi) *int { return &r.MaxRequests }),
	},
	{
		name: "daemonize", alias: []string{"daemon"}, flag: true, value: "BOOL", def: "true with an address, else false", takes: boolTakes,
		doc: "Go to the background. The command returns when the app is ready.",
		set: boolean(func(r *Runfcgi) *bool { return &r.Daemonize }),
	},
	{
		name: "pidfile", value: "FILE", takes: "the path of a file",
		doc: "Holds the process id of the master while it runs.",
		set: file(func(r *Runfcgi) *string { return &r.PIDFile }),
	},
	{
		name: "workdir", value: "FOLDER", def: "/ for a daemon", takes: "the path of a folder",
		doc: "Change to this folder.",
		set: file(func(r *Runfcgi) *string { return &r.Workdir }),
	},
	{
		name: "outlog", alias: []string{"etclog"}, value: "FILE", takes: "the path of a file",
		doc: "Where stdout goes; and the log, when there is no `errlog`.",
		set: file(func(r *Runfcgi) *string { return &r.OutLog }),
	},
	{
		name: "errlog", alias: []string{"errorlog"}, value: "FILE", takes: "the path of a file",
		doc: "Where stderr goes: the log, with what the app prints.",
		set: file(func(r *Runfcgi) *string { return &r.ErrLog }),
	},
	{
		name: "umask", value: "OCTAL", takes: "an octal number from 000 to 777, as 022",
		doc: "The umask, octal; a socket's mode is 0666 less it.",
		set: func(r *Runfcgi, value, _ string) bool {
			digits := strings.TrimPrefix(strings.ToLower(value), "0o")
			n, err := strconv.ParseUint(digits, 8, 16)
			r.Umask = int(n)
			return err == nil && n <= 0o777
		},
	},
	{
		name: "debug", flag: true, value: "BOOL", def: "false", takes: boolTakes,
		doc: "Show the traceback of an app that cannot be imported in the browser.",
		set: boolean(func(r *Runfcgi) *bool { return &r.Debug }),
	},
	{
		name: "settings", short: 'f', value: "MODULE", takes: "a module as Python imports it, like mysite.settings",
		doc: "Django's settings: DJANGO_SETTINGS_MODULE.",
		set: func(r *Runfcgi, value, _ string) bool {
			r.Settings = value
			return module.MatchString(value)
		},
	},
	{
		name: "pythonpath", value: "FOLDER", takes: "the path of a folder, or several with " + string(filepath.ListSeparator) + " between",
		doc: "First on `sys.path` after the app's own folder. Several: with `:` between.",
		set: func(r *Runfcgi, value, base string) bool {
			for _, folder := range filepath.SplitList(value) {
				if folder == "" {
					return false
				}
				r.PythonPath = append(r.PythonPath, under(base, folder))
			}
			return value != ""
		},
	},

	{
		name: "dir", value: "FOLDER", def: "the script's folder, else the current one", takes: "the path of a folder",
		doc: "Where the app is looked for: what `millrace serve FOLDER` finds there.",
		set: file(func(r *Runfcgi) *string { return &r.Dir }),
	},
	{
		name: "app", value: "APP", takes: "module:callable, or the NAME of an [app.NAME] of the millrace.toml",
		doc: "The app: `module:callable`, or the NAME of an `[app.NAME]` where the folder's millrace.toml has several.",
		set: func(r *Runfcgi, value, _ string) bool {
			r.App = value
			return callable.MatchString(value) || appName.MatchString(value)
		},
	},
	{
		name: "venv", value: "FOLDER", def: "as `millrace serve` finds it", takes: "the path of a virtual environment",
		doc: "The virtual environment whose Python runs the app.",
		set: file(func(r *Runfcgi) *string { return &r.Venv }),
	},
	{
		name: "secret", value: "TEXT", takes: "the secret that the front server gives",
		doc: "With `protocol=ajp`: what the front server must give; without it only this machine may connect.",
		set: func(r *Runfcgi, value, _ string) bool {
			r.Secret = value
			return value != ""
		},
	},
	{
		name: "control", value: "FILE", def: "named after `dir` and the address; none on descriptor 0", takes: "the path of a file",
		doc: "The control socket of `millrace status`, `reload` and `stop`.",
		set: file(func(r *Runfcgi) *string { return &r.Control }),
	},
}

// Django's numbers.
const (
	defaultMinSpare    = 2
	defaultMaxSpare    = 5
	defaultMaxChildren = 50
)

const boolTakes = "true, yes, t or false, no, f"

var (
	protocols = map[string]string{"fcgi": "fastcgi", "fastcgi": "fastcgi", "scgi": "scgi", "ajp": "ajp", "uwsgi": "uwsgi", "http": "http"}
	methods   = map[string]string{"prefork": "prefork", "fork": "prefork", "thread": "threaded", "threaded": "threaded"}

	hostName = regexp.MustCompile(`^[\pL\pN_.:%-]+$`)
	module   = regexp.MustCompile(`^[\pL_][\pL\pN_]*(\.[\pL_][\pL\pN_]*)*$`)
	callable = regexp.MustCompile(`^[\pL_][\pL\pN_]*(\.[\pL_][\pL\pN_]*)*:[\pL_][\pL\pN_.]*$`)
	appName  = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)
)

func number(least int, field func(*Runfcgi) *int) func(*Runfcgi, string, string) bool {
	return func(r *Runfcgi, value, _ string) bool {
		n, err := strconv.ParseInt(value, 10, 32)
		*field(r) = int(n)
		return err == nil && n >= int64(least)
	}
}

func boolean(field func(*Runfcgi) *bool) func(*Runfcgi, string, string) bool {
	return func(r *Runfcgi, value, _ string) bool {
		switch strings.ToLower(value) {
		case "true", "yes", "t", "y", "1", "on":
			*field(r) = true
		case "false", "no", "f", "n", "0", "off":
			*field(r) = false
		default:
			return false
		}
		return true
	}
}

func file(field func(*Runfcgi) *string) func(*Runfcgi, string, string) bool {
	return func(r *Runfcgi, value, base string) bool {
		*field(r) = under(base, value)
		return value != "" && !strings.ContainsRune(value, 0)
	}
}

// under makes a path absolute from the folder where it was written.
func under(base, path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(base, path)
}

// find returns the option of a name, in any case; nil: there is none.
func find(name string) *option {
	name = strings.ToLower(name)
	for i := range options {
		if options[i].name == name || slices.Contains(options[i].alias, name) {
			return &options[i]
		}
	}
	return nil
}

// nearest is the option that was most likely meant; nil: none is near.
func nearest(name string) *option {
	var names []string
	for _, o := range options {
		names = append(append(names, o.name), o.alias...)
	}
	return find(suggest.Nearest(strings.NewReplacer("-", "", "_", "").Replace(strings.ToLower(name)), names))
}

// RunfcgiHelp is the table of the options, for a terminal.
func RunfcgiHelp() string {
	var b strings.Builder
	for _, o := range options {
		if o.name == "dir" {
			b.WriteString("\nbeside Django's:\n")
		}
		def := ""
		if o.def != "" {
			def = " (default: " + o.def + ")"
		}
		fmt.Fprintf(&b, "  %-20s %s%s\n", o.name+"="+o.value, strings.ReplaceAll(o.doc, "`", ""), strings.ReplaceAll(def, "`", ""))
	}
	return b.String()
}

// RunfcgiTable is the same for docs/runfcgi.md.
func RunfcgiTable() string {
	var b strings.Builder
	b.WriteString("| option | default | meaning |\n|---|---|---|\n")
	for _, o := range options {
		names := "`" + o.name + "`"
		for _, a := range o.alias {
			names += ", `" + a + "`"
		}
		if o.short != 0 {
			names += ", `-" + string(o.short) + "`"
		}
		def := o.def
		if def == "" {
			def = "none"
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", names, def, o.doc)
	}
	return b.String()
}
