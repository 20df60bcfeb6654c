package main

// This file: configurations of other servers, for serve, check and adapt.

import (
	"os"
	"strings"

	"github.com/spf13/pflag"

	"millrace/internal/adapt"
	"millrace/internal/adapt/document"
	"millrace/internal/config"
)

// foreignFlags say how a configuration of another server is read.
type foreignFlags struct {
	from  string
	shell bool

	files []string // that were read the last time
}

func (f *foreignFlags) register(flags *pflag.FlagSet) {
	flags.StringVar(&f.from, "from", "", "the file is a configuration of `SERVER`: "+strings.Join(adapt.Syntaxes(), ", ")+" (default: its name and text tell)")
	flags.BoolVar(&f.shell, "allow-include-shell", false, "run the commands of include_shell in it")
}

// document is the file as a millrace.toml.
func (f *foreignFlags) document(path string) (*document.Document, error) {
	return adapt.File(path, f.from, document.Options{Shell: f.shell})
}

// load is the file as a configuration that can be served.
func (f *foreignFlags) load(path string) (*config.Config, error) {
	d, err := f.document(path)
	if err != nil {
		return nil, err
	}
	f.files = d.Files()
	return d.Config(path)
}

// means reports whether a file is a configuration of another server, by what
// was said and its name.
func (f *foreignFlags) means(path string) bool { return f.from != "" || isForeign(path) }

// reloadAtUSR1 reports whether a target is a configuration of a server that USR1
// has read it again: Apache and lighttpd, whose "graceful" it is. To nginx it
// means the logs alone, and so it does to us.
func (f *foreignFlags) reloadAtUSR1(target string) bool {
	from := f.from
	if info, err := os.Stat(target); from == "" && err == nil && info.Mode().IsRegular() && isForeign(target) {
		if text, err := document.Read(target); err == nil { // else it is not served at all
			from = adapt.Guess(target, text)
		}
	}
	return from == "apache" || from == "lighttpd"
}

// isForeign reports whether a plain file is, by its name, neither ours nor an app.
func isForeign(path string) bool {
	return !strings.HasSuffix(path, ".toml") && !strings.HasSuffix(path, ".py")
}

// loadFile is a configuration, ours or, by the file's name, another server's.
func loadFile(path string) (*config.Config, error) {
	if isForeign(path) {
		return new(foreignFlags).load(path)
	}
	return config.Load(path)
}
