package config

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
)

// Load reads, completes and checks a millrace.toml. Relative paths in it are
// relative to its folder. The error is an Errors of every problem; then there
// is no Config.
func Load(path string) (*Config, error) {
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return nil, unreadable(path, err)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxText+1)) // Parse refuses the one byte more
	if err != nil {
		return nil, unreadable(path, err)
	}
	return Parse(path, text, dir)
}

func unreadable(path string, err error) error {
	return Errors{{File: path, Problem: "cannot read the configuration: " + cause(err), Hint: "check the path and the rights of the file"}}
}

// Parse is Load from memory. Name stands for the file in messages; relative
// paths are relative to dir, which is absolute.
func Parse(name string, text []byte, dir string) (*Config, error) {
	return ParseFrom(name, text, dir, nil)
}

// Origin says where what stands at a line and column of a text, both from 1,
// was written by a person; a line of 0: nowhere else.
type Origin func(line, column int) (file string, atLine, atColumn int)

// ParseFrom is Parse for a text that was made out of other files: problems are
// told by their places in these.
func ParseFrom(name string, text []byte, dir string, origin Origin) (*Config, error) {
	cfg := new(Config)
	cfg.src.file = name
	tree, err := parseTree(name, text, origin)
	if err != nil {
		var one *Error
		if !errors.As(err, &one) {
			one = &Error{File: name, Line: 1, Column: 1, Problem: err.Error()}
		}
		return nil, Errors{one}
	}
	d := decoder{src: &cfg.src, expand: true}
	d.table(fileSection, "", fileSection.title, tree, reflect.ValueOf(cfg).Elem())
	if err := cfg.Complete(dir); err != nil {
		return nil, err
	}
	return cfg, nil
}
