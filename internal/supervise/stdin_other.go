//go:build unix && !linux

package supervise

import (
	"errors"
	"os"
)

// stdin is a file without a name that holds text.
func stdin(text []byte) (*os.File, error) {
	f, err := os.CreateTemp("", "millrace-stdin-")
	if err != nil {
		return nil, err
	}
	err = errors.Join(os.Remove(f.Name()), func() error { _, err := f.Write(text); return err }())
	if err == nil {
		_, err = f.Seek(0, 0)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
