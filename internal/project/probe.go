package project

// Questions to an interpreter: a process of its own, limited in time, whose
// answer has a descriptor of its own.

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"millrace/worker"
)

const (
	versionLimit = 30 * time.Second
	projectLimit = 30 * time.Second
	maxAnswer    = 4 << 20  // bytes of an answer
	maxOutput    = 64 << 10 // bytes of what the project prints meanwhile; the last are kept
	maxSource    = 1 << 20  // bytes of a file that is looked into
)

// ProbeError says that a project could not be asked what it is.
type ProbeError struct {
	What      string // one line
	Traceback string // Python's own, several lines; empty: it did not come to that
	Output    string // the end of what the project printed; may be empty
	Err       error  // the cause where there is no traceback
}

func (e *ProbeError) Error() string {
	if lines := strings.Split(strings.TrimSpace(e.Traceback), "\n"); e.Traceback != "" {
		return e.What + ": " + lines[len(lines)-1]
	}
	if e.Err != nil {
		return e.What + ": " + e.Err.Error()
	}
	return e.What
}

func (e *ProbeError) Unwrap() error { return e.Err }

// ask puts a question of probe.py and decodes its answer into result.
// what names the question in errors, all of which are *ProbeError.
func ask(ctx context.Context, o Options, python, dir, what string, result any, arguments ...string) error {
	read, write, err := os.Pipe()
	if err != nil {
		return &ProbeError{What: what, Err: err}
	}
	arguments = append([]string{"-c", worker.Bootstrap, "millrace-probe"}, arguments...)
	var output tail
	limit := o.limit(projectLimit)
	timed, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := command(timed, python, arguments...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), o.Env...)
	cmd.Stdin = bytes.NewReader(worker.Program("probe"))
	cmd.Stdout, cmd.Stderr = &output, &output
	cmd.ExtraFiles = []*os.File{write}
	if err := cmd.Start(); err != nil {
		read.Close()
		write.Close()
		return &ProbeError{What: what, Err: err}
	}
	write.Close()
	var message struct {
		OK    json.RawMessage `json:"ok"`
		Error string          `json:"error"`
	}
	decoded := make(chan error, 1)
	go func() { // ends with the answer, the end of the process, or the deadline below
		err := json.NewDecoder(io.LimitReader(read, maxAnswer)).Decode(&message)
		read.Close() // a process that has more to say must not block
		decoded <- err
	}()
	ended := cmd.Wait()
	// Whatever the process said is in the pipe; what it left behind may hold
	// the pipe open.
	read.SetReadDeadline(time.Now().Add(time.Second))
	err = <-decoded
	switch {
	case err == nil && message.Error == "":
		err = json.Unmarshal(message.OK, result)
		if err == nil {
			return nil
		}
	case err == nil:
	case timed.Err() != nil && ctx.Err() == nil:
		err = fmt.Errorf("no answer within %v", limit)
	case ctx.Err() != nil:
		err = ctx.Err()
	case ended != nil:
		err = fmt.Errorf("python ended without an answer: %w", ended)
	default:
		err = fmt.Errorf("python ended without a whole answer: %w", err)
	}
	return &ProbeError{What: what, Traceback: message.Error, Output: output.String(), Err: err}
}

func (o Options) limit(standard time.Duration) time.Duration {
	if o.Limit > 0 {
		return o.Limit
	}
	return standard
}

// command is killed, with the processes it started, when ctx is done.
func command(ctx context.Context, name string, arguments ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, arguments...)
	ownGroup(cmd)
	cmd.Cancel = func() error { return killGroup(cmd.Process) }
	cmd.WaitDelay = time.Second // for what the project left behind with our output open
	return cmd
}

// tail keeps the end of what is written to it.
type tail struct{ kept []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.kept = append(t.kept, p...)
	if len(t.kept) > 2*maxOutput {
		t.kept = append(t.kept[:0], t.kept[len(t.kept)-maxOutput:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	kept := t.kept
	if len(kept) > maxOutput {
		kept = kept[len(kept)-maxOutput:]
	}
	return strings.ToValidUTF8(string(kept), "\uFFFD")
}

// readBounded reads a small text file whole.
func readBounded(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxSource+1))
	if err == nil && len(text) > maxSource {
		err = fmt.Errorf("%s is larger than %d bytes", path, maxSource)
	}
	return string(text), err
}
