//go:build unix

package keeper

// What a program leaves for the one that takes its place.

import (
	"encoding/json"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// State is what a program leaves for the one that takes its place. Its
// descriptors are those of the process, by their numbers.
type State struct {
	Key       []byte          `json:"key"` // Options.Key
	Number    int             `json:"number"`
	Plans     map[int]*Loaded `json:"plans"`
	Front     stateFront      `json:"front"`
	Old       []stateFront    `json:"old"` // that end
	LastFront int             `json:"last_front"`
	Memory    json.RawMessage `json:"memory,omitempty"`
	Sockets   []stateSocket   `json:"sockets"`
	Owners    map[int]int     `json:"owners"`    // of the processes: pid, number of a front
	Lifelines map[int]int     `json:"lifelines"` // of those that have one: pid, descriptor
	PIDFile   bool            `json:"pidfile"`
	Asker     int             `json:"asker"`
	Request   uint64          `json:"request"`
}

// Serving returns the Origin of what the front serves; nil: the program before
// told none.
func (s *State) Serving() json.RawMessage {
	if l := s.Plans[s.Front.Plan]; l != nil {
		return l.Origin
	}
	return nil
}

type stateFront struct {
	Number int `json:"number"`
	Plan   int `json:"plan"`
	PID    int `json:"pid"`
	FD     int `json:"fd"`
}

type stateSocket struct {
	Key   string `json:"key"`
	Path  string `json:"path"`
	Dev   uint64 `json:"dev"`
	Ino   uint64 `json:"ino"`
	FD    int    `json:"fd"`
	Users []int  `json:"users"`

	Waiting []stateWaiting `json:"waiting,omitempty"`
}

// stateWaiting is a front that waits for a packet socket.
type stateWaiting struct {
	Front   int    `json:"front"`
	Request uint64 `json:"request"`
}

// StateVariable names the descriptor of the state in the environment.
const StateVariable = "MILLRACE_KEEPER_STATE"

// stateFile is a file without a name that holds a state.
func stateFile(st *State) (*os.File, error) {
	b, err := json.Marshal(st)
	if err != nil {
		return nil, err
	}
	f, err := nameless()
	if err != nil {
		return nil, err
	}
	if _, err = f.Write(b); err == nil {
		_, err = f.Seek(0, 0)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// ReadState reads what the program before this one left; nil if there is none.
// Its descriptors are closed on exec from then on.
func ReadState() (*State, error) {
	text, ok := os.LookupEnv(StateVariable)
	if !ok {
		return nil, nil
	}
	_ = os.Unsetenv(StateVariable)
	var fd int
	if _, err := fmt.Sscanf(text, "%d", &fd); err != nil {
		return nil, fmt.Errorf("%s=%q is no descriptor", StateVariable, text)
	}
	f := os.NewFile(uintptr(fd), "state")
	defer f.Close()
	st := new(State)
	if err := json.NewDecoder(f).Decode(st); err != nil {
		return nil, fmt.Errorf("cannot read the state of the program before: %w", err)
	}
	for _, f := range append(st.Old, st.Front) {
		setCloseOnExec(f.FD, true)
	}
	for _, s := range st.Sockets {
		setCloseOnExec(s.FD, true)
	}
	for _, fd := range st.Lifelines {
		setCloseOnExec(fd, true)
	}
	return st, nil
}

func setCloseOnExec(fd int, on bool) {
	flag := 0
	if on {
		flag = unix.FD_CLOEXEC
	}
	_, _ = unix.FcntlInt(uintptr(fd), unix.F_SETFD, flag)
}
