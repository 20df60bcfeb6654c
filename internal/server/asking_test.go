package server

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"millrace/internal/listen"
)

// asked is a keeper in another process, whose answers come behind its other
// messages, which have the server hand over and resume: whoever asks it while
// these would wait waits for ever.
type asked struct {
	itself
	t     *testing.T
	times *atomic.Int64
}

func (k *asked) first() {
	k.times.Add(1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		k.server.HandOver(nil)
		k.server.Resume()
	}()
	select {
	case <-done:
	case <-time.After(2 * time.Second):
		k.t.Error("the keeper is asked while its messages wait for the server")
	}
}

func (k *asked) Listen(address string, o listen.Options) (*listen.Listener, error) {
	k.first()
	l, err := k.itself.Listen(address, o)
	if err != nil {
		return nil, err
	}
	f, err := l.File()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return listen.Given(address, f, &askedOwner{k, l}, o)
}

func (k *asked) OpenLog(path string) (*os.File, error) {
	k.first()
	return k.itself.OpenLog(path)
}

func (k *asked) Use(int) error {
	k.first()
	return nil
}

// askedOwner owns a socket that is served elsewhere.
type askedOwner struct {
	keeper *asked
	socket *listen.Listener
}

func (o *askedOwner) Release() (bool, error) {
	o.keeper.first()
	return true, o.socket.Leave()
}

func (o *askedOwner) SetMode(mode fs.FileMode) error {
	o.keeper.first()
	return o.socket.SetMode(mode)
}

// TestKeeperIsAskedWithoutTheLock: a reload that closes an address and changes
// the mode of another, logs that are opened anew, and an end that is cut short
// ask the keeper while an upgrade begins and fails.
func TestKeeperIsAskedWithoutTheLock(t *testing.T) {
	dir := wholeSite(t)
	var times atomic.Int64
	text := whole + "[[app.main.listen]]\naddress = \"unix:{dir}/f.sock\"\nprotocol = \"scgi\"\nmode = \"0600\"\n"
	k := &asked{t: t, times: &times}
	s := unlaunched(t, Options{Plan: parse(t, dir, text), Keeper: k}, newFakeApps())
	k.server = s.Server
	s.launch()
	<-s.Started()
	counted := func(what string, f func() error) {
		t.Helper()
		before := times.Load()
		if err := f(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if times.Load() == before {
			t.Errorf("%s: the keeper was not asked", what)
		}
	}
	next := parse(t, dir, strings.NewReplacer(", \"unix:{dir}/web.sock\"", "", "0600", "0660").Replace(text))
	counted("reload", func() error { return s.reloadTo(next) })
	info, err := os.Lstat(dir + "/f.sock")
	if err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("the socket whose mode changed: %v, %v", info, err)
	}
	counted("logs", s.ReopenLogs)
	counted("end", func() error {
		s.Abort()
		if err := <-s.ended; !errors.Is(err, errAborted) {
			return fmt.Errorf("not cut short: %w", err)
		}
		return nil
	})
}
