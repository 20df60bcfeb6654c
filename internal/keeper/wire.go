//go:build unix

package keeper

// Messages between a keeper and its front: JSON with descriptors, each behind
// a head that says how much of both there is.

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"millrace/internal/supervise"
)

const (
	maxMessage = 16 << 20 // bytes of one: a configuration has at most 1 MiB
	maxFiles   = 250      // descriptors of one; the system takes 253
	headSize   = 8        // bytes of JSON, then descriptors, u32 little-endian
)

// message is any of them; do says which, and what else is there. A request has
// an id, and so has its reply.
type message struct {
	ID uint64 `json:"id,omitempty"`
	Do string `json:"do"`

	Address string            `json:"address,omitempty"`
	Path    string            `json:"path,omitempty"`
	Mode    uint32            `json:"mode,omitempty"`
	Command string            `json:"command,omitempty"` // a name
	Plan    int               `json:"plan,omitempty"`    // a number
	Replace map[string]string `json:"replace,omitempty"`
	Env     [][]byte          `json:"env,omitempty"`     // of one request
	Args    [][]byte          `json:"args,omitempty"`    // too
	Program []byte            `json:"program,omitempty"` // which of a folder's
	Owner   string            `json:"owner,omitempty"`   // in whose home it is
	Null    []bool            `json:"null,omitempty"`    // of the files of a process: it is the null device
	PID     int               `json:"pid,omitempty"`
	Signal  int               `json:"signal,omitempty"`
	Code    int               `json:"code,omitempty"`
	Text    string            `json:"text,omitempty"`
	Names   []string          `json:"names,omitempty"` // of the descriptors that come along
	Body    json.RawMessage   `json:"body,omitempty"`
	Failed  *Failure          `json:"failed,omitempty"`
	Memory  json.RawMessage   `json:"memory,omitempty"`

	files []*os.File // the receiver's
}

// Failure is an error that has crossed between processes.
type Failure struct {
	Problem string `json:"problem"`
	Fix     string `json:"fix,omitempty"`
	More    string `json:"more,omitempty"`
	Errno   int    `json:"errno,omitempty"`
	Refused bool   `json:"refused,omitempty"` // it is a supervise.Refusal
}

func (f *Failure) Error() string { return f.Problem }

// Hint says what to do.
func (f *Failure) Hint() string { return f.Fix }

// Detail is all that is known of it, as a traceback.
func (f *Failure) Detail() string { return f.More }

// Is compares with the system's error that was the cause.
func (f *Failure) Is(target error) bool {
	if target == supervise.ErrRefused {
		return f.Refused
	}
	errno, ok := target.(unix.Errno)
	return ok && f.Errno != 0 && int(errno) == f.Errno
}

// failed is an error on its way to another process.
func failed(err error) *Failure {
	if err == nil {
		return nil
	}
	f := &Failure{Problem: err.Error(), Refused: errors.Is(err, supervise.ErrRefused)}
	var hint interface{ Hint() string }
	if errors.As(err, &hint) {
		f.Fix = hint.Hint()
	}
	var detail interface{ Detail() string }
	if errors.As(err, &detail) {
		f.More = detail.Detail()
	}
	var errno unix.Errno
	if errors.As(err, &errno) {
		f.Errno = int(errno)
	}
	return f
}

// wire is one end.
type wire struct {
	conn   *net.UnixConn
	mu     sync.Mutex  // one message at a time is sent
	paused atomic.Bool // receive is to read no further message
}

// errPaused is what receive returns between two messages, after pause.
var errPaused = errors.New("nothing is to be read now")

// pause has receive return errPaused, once it has read what it has begun to.
func (w *wire) pause() {
	w.paused.Store(true)
	_ = w.conn.SetReadDeadline(time.Unix(1, 0)) // wakes it; fails on a closed socket alone
}

// resume undoes pause.
func (w *wire) resume() {
	w.paused.Store(false)
	_ = w.conn.SetReadDeadline(time.Time{})
}

// rest is how long the rest of a message may take whose reading was to pause.
const rest = 10 * time.Second

// Read is the connection's, but for a pause: what has begun is read on.
func (w *wire) Read(b []byte) (int, error) {
	for {
		n, err := w.conn.Read(b)
		if n > 0 || !w.wakened(err) {
			return n, err
		}
	}
}

// wakened reports whether an error within a message is a pause's.
func (w *wire) wakened(err error) bool {
	if !errors.Is(err, os.ErrDeadlineExceeded) || !w.paused.Load() {
		return false
	}
	return w.conn.SetReadDeadline(time.Now().Add(rest)) == nil
}

// newWire takes a connected socket over.
func newWire(f *os.File) (*wire, error) {
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("cannot use descriptor %s: %w", f.Name(), err)
	}
	u, ok := c.(*net.UnixConn)
	if !ok {
		c.Close()
		return nil, fmt.Errorf("descriptor %s is no Unix socket", f.Name())
	}
	return &wire{conn: u}, nil
}

// pair returns the two ends of a connection between processes.
func pair() (ours, theirs *os.File, err error) {
	fds, err := socketpair()
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	return os.NewFile(uintptr(fds[0]), "keeper"), os.NewFile(uintptr(fds[1]), "front"), nil
}

// send writes one message. Its files stay the caller's.
func (w *wire) send(m *message, files ...*os.File) error {
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if len(b) > maxMessage || len(files) > maxFiles {
		return fmt.Errorf("a message of %d bytes and %d descriptors is too large", len(b), len(files))
	}
	out := make([]byte, headSize, headSize+len(b))
	binary.LittleEndian.PutUint32(out, uint32(len(b)))
	binary.LittleEndian.PutUint32(out[4:], uint32(len(files)))
	out = append(out, b...)
	var oob []byte
	if len(files) > 0 {
		fds, err := descriptors(files)
		if err != nil {
			return err
		}
		oob = unix.UnixRights(fds...)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	n, _, err := w.conn.WriteMsgUnix(out, oob, nil)
	if err == nil && n < len(out) {
		_, err = w.conn.Write(out[n:])
	}
	return err
}

// descriptors are the files' own, without what Fd does to them: it would make
// a listening socket block, in every process that has it.
func descriptors(files []*os.File) ([]int, error) {
	fds := make([]int, len(files))
	for i, f := range files {
		raw, err := f.SyscallConn()
		if err == nil {
			err = raw.Control(func(fd uintptr) { fds[i] = int(fd) })
		}
		if err != nil {
			return nil, err
		}
	}
	return fds, nil
}

// receive reads one message; io.EOF is the other's end.
func (w *wire) receive() (*message, error) {
	var head [headSize]byte
	var files []*os.File
	fail := func(err error) (*message, error) {
		closeAll(files)
		return nil, err
	}
	if w.paused.Load() {
		return nil, errPaused
	}
	oob := make([]byte, unix.CmsgSpace(4*maxFiles))
	for have := 0; have < headSize; {
		n, oobn, flags, _, err := w.conn.ReadMsgUnix(head[have:], oob)
		got, bad := rights(oob[:oobn])
		files = append(files, got...)
		switch {
		case have == 0 && n <= 0 && errors.Is(err, os.ErrDeadlineExceeded) && w.paused.Load():
			return fail(errPaused)
		case n <= 0 && have > 0 && w.wakened(err):
			continue
		case err == nil && n == 0:
			err = io.EOF
		case err == nil && bad != nil:
			err = bad
		case err == nil && flags&unix.MSG_CTRUNC != 0:
			err = errors.New("descriptors were lost; the limit of open files may be reached")
		}
		if err != nil {
			return fail(err)
		}
		have += n
	}
	size, count := binary.LittleEndian.Uint32(head[:]), binary.LittleEndian.Uint32(head[4:])
	if size > maxMessage || int(count) != len(files) {
		return fail(fmt.Errorf("a malformed message: %d bytes, %d of %d descriptors", size, len(files), count))
	}
	b, err := io.ReadAll(io.LimitReader(w, int64(size))) // grows with what arrives
	if err == nil && len(b) < int(size) {
		err = io.ErrUnexpectedEOF
	}
	m := new(message)
	if err == nil {
		err = json.Unmarshal(b, m)
	}
	if err != nil {
		return fail(err)
	}
	m.files = files
	return m, nil
}

// rights are the descriptors of a control message.
func rights(oob []byte) ([]*os.File, error) {
	if len(oob) == 0 {
		return nil, nil
	}
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, err
	}
	var files []*os.File
	for i := range messages {
		fds, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			continue
		}
		for _, fd := range fds {
			unix.CloseOnExec(fd)
			files = append(files, os.NewFile(uintptr(fd), "passed"))
		}
	}
	return files, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		if f != nil {
			f.Close()
		}
	}
}
