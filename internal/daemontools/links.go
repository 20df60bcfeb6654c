//go:build unix

package daemontools

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// InstallLinks makes a symbolic link to binary for each program in dir, which
// is made if it is not there, and returns the links that are new. A link that
// is there already is left alone; anything else by that name is an error, and
// then no link is made.
func InstallLinks(dir, binary string) ([]string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	var missing []string
	for _, p := range Programs() {
		link := filepath.Join(dir, p.Name)
		target, err := os.Readlink(link)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			missing = append(missing, link)
		case err != nil || target != binary:
			return nil, &OccupiedError{link}
		}
	}
	for i, link := range missing {
		if err := os.Symlink(binary, link); err != nil {
			return missing[:i], fmt.Errorf("cannot make a link: %w", err)
		}
	}
	return missing, nil
}

// OccupiedError says that something else has the name of a link.
type OccupiedError struct{ Path string }

func (e *OccupiedError) Error() string {
	return e.Path + " is there already, and is not a link to this program"
}

// Hint says what to do.
func (e *OccupiedError) Hint() string { return "remove it, or choose another folder" }
