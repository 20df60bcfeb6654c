package document

// This file: what adapters are told, how they read, and how they say what they
// cannot carry over.

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"unicode/utf8"

	"millrace/internal/config"
)

// Bounds of what is read: configurations of ten thousand sites are smaller.
const (
	MaxFile     = 4 << 20 // bytes of one file
	MaxFiles    = 1000    // files that are included, all in all
	MaxDepth    = 32      // includes within includes
	maxProblems = 100
)

// Options is what an adapter is told. The zero value will do.
type Options struct {
	// Shell says that commands in the file may be run for what they print
	// (lighttpd's include_shell). Without it they are refused.
	Shell bool

	// Environ is the environment that the file sees, "NAME=value"; nil: this
	// process's.
	Environ []string
}

// Getenv is a variable of the environment that the file sees.
func (o Options) Getenv(name string) (string, bool) {
	if o.Environ == nil {
		return os.LookupEnv(name)
	}
	for _, v := range slices.Backward(o.Environ) {
		if len(v) > len(name) && v[:len(name)] == name && v[len(name)] == '=' {
			return v[len(name)+1:], true
		}
	}
	return "", false
}

// ReadError is a file that cannot be read, in words for a line that names it.
type ReadError struct {
	Reason string
	Err    error // may be nil
}

func (e *ReadError) Error() string { return e.Reason }
func (e *ReadError) Unwrap() error { return e.Err }

// Read is the text of a foreign file. It is UTF-8 and not too long.
func Read(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, &ReadError{reason(err), err}
	case info.IsDir():
		return nil, &ReadError{"is a folder", nil}
	case !info.Mode().IsRegular():
		return nil, &ReadError{"is not a plain file", nil}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, &ReadError{reason(err), err}
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, MaxFile+1))
	switch {
	case err != nil:
		return nil, &ReadError{reason(err), err}
	case len(text) > MaxFile:
		return nil, &ReadError{"is larger than 4 MiB", nil}
	case !utf8.Valid(text):
		return nil, &ReadError{"is not text in UTF-8", nil}
	}
	return text, nil
}

// reason is why a file cannot be read, without its name.
func reason(err error) string {
	var at *fs.PathError
	if errors.As(err, &at) {
		return at.Err.Error()
	}
	return err.Error()
}

// Problems is what of a file cannot be carried over. Each place says a thing
// once, and there is an end to what is kept.
type Problems struct {
	list config.Errors
	more int
}

// Add notes a problem: one line, and what to do, which may be empty.
func (p *Problems) Add(at Place, problem, hint string) {
	e := &config.Error{File: at.File, Line: at.Line, Column: at.Column, Problem: problem, Hint: hint}
	switch {
	case slices.ContainsFunc(p.list, func(of *config.Error) bool { return *of == *e }):
	case len(p.list) >= maxProblems:
		p.more++
	default:
		p.list = append(p.list, e)
	}
}

// Len is how many there are.
func (p *Problems) Len() int { return len(p.list) }

// Err is all of them, in the order of their places; nil: there is none.
func (p *Problems) Err() error {
	if len(p.list) == 0 {
		return nil
	}
	list := slices.Clone(p.list)
	slices.SortStableFunc(list, byPlace)
	if p.more > 0 {
		list = append(list, &config.Error{File: list[0].File, Problem: fmt.Sprintf("and %d problems more", p.more), Hint: "mend these first"})
	}
	return list
}
