package auth

// This file: names and hashes, from a table or from the lines of a file.

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Bounds of a file of users.
const (
	maxFile  = 8 << 20
	maxUsers = 100_000
	maxLine  = 4096
)

// Entry is one user.
type entry struct {
	hash string
	is   comparison
}

// table is users by their names, immutable.
type table struct {
	users map[string]entry
	names []string // in order, for picking one
}

func newTable(users map[string]entry) *table {
	return &table{users, slices.Sorted(maps.Keys(users))}
}

// Users is who there is. A file goes before the table.
type Users struct {
	fixed *table
	file  *File // nil: none
}

// NewUsers returns users of a table of names and hashes, and of a file, which
// may be nil. An error names the user whose hash is not taken.
func NewUsers(hashes map[string]string, file *File) (*Users, error) {
	all := make(map[string]entry, len(hashes))
	for _, name := range slices.Sorted(maps.Keys(hashes)) {
		if err := CheckUser(name); err != nil {
			return nil, err
		}
		is, err := parseHash(hashes[name])
		if err != nil {
			return nil, fmt.Errorf("user %q: %w", name, err)
		}
		all[name] = entry{hashes[name], is}
	}
	return &Users{newTable(all), file}, nil
}

// CheckUser says why a name can be nobody's; nil if it can.
func CheckUser(name string) error {
	switch {
	case name == "":
		return &HashError{"a user's name is empty", "write USER:HASH"}
	case strings.Contains(name, ":"):
		return &HashError{"a user's name holds a colon, which ends it in what a browser sends", "take another name"}
	case len(name) > maxUser, !isText(name):
		return &HashError{fmt.Sprintf("a user's name is longer than %d bytes, or no text", maxUser), "take another name"}
	}
	return nil
}

// find returns what a name's password is compared with. For a name that nobody
// has it is somebody's, always the same, so that both cost alike; known is false
// then. ok is false if there is nobody at all.
func (u *Users) find(name string, pick uint64) (e entry, known, ok bool) {
	tables := [2]*table{nil, u.fixed}
	if u.file != nil {
		tables[0] = u.file.table()
	}
	n := 0
	for _, t := range tables {
		if t == nil {
			continue
		}
		if e, ok := t.users[name]; ok {
			return e, true, true
		}
		n += len(t.names)
	}
	if n == 0 {
		return entry{}, false, false
	}
	at := int(pick % uint64(n))
	for _, t := range tables {
		if t == nil {
			continue
		}
		if at < len(t.names) {
			return t.users[t.names[at]], false, true
		}
		at -= len(t.names)
	}
	return entry{}, false, false // not reached
}

// LineError is a line of a file of users that cannot be used.
type LineError struct {
	File string
	Line int // from 1
	Err  error
}

func (e *LineError) Error() string { return fmt.Sprintf("%s:%d: %v", e.File, e.Line, e.Err) }

func (e *LineError) Unwrap() error { return e.Err }

// parseFile reads lines of "name:hash" as htpasswd writes them; what follows a
// further colon is a comment. Empty lines and those that begin with "#" are
// nothing. It goes on behind a line that cannot be used: bad has the first few.
// Of a name that is there twice the first line holds, as in Apache.
func parseFile(name string, text []byte) (t *table, bad []error) {
	users := make(map[string]entry)
	for number := 1; len(text) > 0; number++ {
		var line []byte
		line, text, _ = bytes.Cut(text, []byte("\n"))
		user, e, err := parseLine(line)
		if _, twice := users[user]; err == nil && user != "" && !twice && len(users) == maxUsers {
			err = &HashError{fmt.Sprintf("the file has more than %d users", maxUsers), "keep them elsewhere"}
			text = nil
		}
		switch {
		case err != nil:
			if len(bad) < maxBad {
				bad = append(bad, &LineError{name, number, err})
			}
		case user != "":
			if _, twice := users[user]; !twice {
				users[user] = e
			}
		}
	}
	return newTable(users), bad
}

// maxBad is how many bad lines of a file are told of.
const maxBad = 10

// parseLine reads one line; without an error and a name it says nothing.
func parseLine(line []byte) (user string, e entry, err error) {
	line = bytes.TrimRight(line, " \t\r")
	if len(line) == 0 || line[0] == '#' {
		return "", entry{}, nil
	}
	if len(line) > maxLine {
		return "", entry{}, &HashError{fmt.Sprintf("the line is longer than %d bytes", maxLine), "write USER:HASH"}
	}
	user, rest, ok := strings.Cut(string(line), ":")
	if !ok {
		return "", entry{}, &HashError{"the line has no colon", "write USER:HASH"}
	}
	if err := CheckUser(user); err != nil {
		return "", entry{}, err
	}
	hash, _, _ := strings.Cut(rest, ":")
	is, err := parseHash(hash)
	return user, entry{hash, is}, err
}
