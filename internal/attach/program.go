//go:build unix

package attach

import (
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"millrace/internal/supervise"
)

const (
	steady     = 10 * time.Second // a program that ran so long did not fail to start
	loopAfter  = 4                // ends before that, in a row, are a crash loop
	firstDelay = 250 * time.Millisecond
	lastDelay  = 30 * time.Second
)

// States of an instance.
const (
	stateStarting = "starting" // its predecessor has not ended yet, or it is just being started
	stateRunning  = "running"
	stateWaiting  = "waiting" // it has ended; it is started again after a delay
	stateStopping = "stopping"
)

// instance is one process of a program, and its successors, for one
// generation.
type instance struct {
	set     *Set
	program *Program
	starter supervise.Starter
	log     *slog.Logger
	after   <-chan struct{} // closed when its predecessor has ended; nil: there is none

	stop chan struct{} // closed by ask
	once sync.Once
	done chan struct{} // closed when it has ended and is not started again

	backoff supervise.Backoff
	early   int // ends before it was steady, in a row

	// Guarded by Set.mu.
	state    string
	since    time.Time
	pid      int
	restarts int
	last     string // how it last ended
}

func newInstance(s *Set, p *Program, starter supervise.Starter) *instance {
	return &instance{
		set: s, program: p, starter: starter, log: s.log.With("app", s.app, "program", p.Name),
		stop: make(chan struct{}), done: make(chan struct{}),
		backoff: supervise.Backoff{First: firstDelay, Limit: lastDelay, Factor: 2},
		state:   stateStarting, since: time.Now(),
	}
}

// ask has it end.
func (i *instance) ask() { i.once.Do(func() { close(i.stop) }) }

func (i *instance) asked() bool {
	select {
	case <-i.stop:
		return true
	case <-i.set.kill:
		return true
	default:
		return false
	}
}

// keep keeps the program up until it is asked to end.
func (i *instance) keep() {
	defer i.set.forget(i)
	defer close(i.done)
	if i.after != nil {
		<-i.after // which was asked to end: its time is bounded
	}
	for !i.asked() {
		began := time.Now()
		how, err := i.run()
		if i.asked() {
			return
		}
		if !i.pause(how, err, time.Since(began)) {
			return
		}
	}
}

// run starts the program and waits for its end. err says that it could not be
// started.
func (i *instance) run() (how supervise.Exit, err error) {
	read, write, err := os.Pipe()
	if err != nil {
		return how, err
	}
	proc, err := i.starter.Start(supervise.Start{Command: i.program.Command, Files: []*os.File{nil, write, write}})
	write.Close()
	if err != nil {
		read.Close()
		return how, err
	}
	log := i.log.With("pid", proc.PID())
	i.set.output.follow(read, log)
	i.set.mu.Lock()
	i.state, i.since, i.pid = stateRunning, time.Now(), proc.PID()
	i.set.mu.Unlock()
	if i.early == 0 { // a crash loop is not told of each time
		log.Info("an attached program runs")
	}
	ended := make(chan supervise.Exit, 1)
	go func() { ended <- proc.Wait() }()
	select {
	case how = <-ended:
	case <-i.stop:
		how = i.end(proc, ended, log)
	case <-i.set.kill:
		_ = proc.Kill()
		how = <-ended
	}
	i.set.mu.Lock()
	defer i.set.mu.Unlock()
	i.pid = 0
	return how, nil
}

// end asks a process to end, and kills it when its time is over.
func (i *instance) end(proc supervise.Process, ended <-chan supervise.Exit, log *slog.Logger) supervise.Exit {
	i.set.mu.Lock()
	i.state, i.since = stateStopping, time.Now()
	i.set.mu.Unlock()
	if err := proc.Signal(i.program.StopSignal); err != nil {
		log.Error("cannot signal an attached program", "error", err)
	}
	timer := time.NewTimer(i.program.StopTimeout)
	defer timer.Stop()
	select {
	case how := <-ended:
		log.Info("an attached program has ended, as it was asked to", "how", how.String())
		return how
	case <-timer.C:
		log.Warn("an attached program did not end within its stop_timeout; it is killed", "stop_timeout", i.program.StopTimeout)
	case <-i.set.kill:
	}
	_ = proc.Kill() // it has ended in this moment
	return <-ended
}

// pause says that it has ended, or could not be started, and waits before the
// next try. It returns false when it was asked to end meanwhile.
func (i *instance) pause(how supervise.Exit, failed error, ran time.Duration) bool {
	if ran >= steady {
		i.early = 0
		i.backoff.Reset()
	}
	i.early++
	delay := i.backoff.Next()
	attrs := []any{"how", how.String(), "ran", ran.Round(time.Millisecond), "again_after", delay.Round(time.Millisecond)}
	last := how.String()
	if failed != nil {
		last = failed.Error()
		attrs = []any{"error", last, "again_after", delay.Round(time.Millisecond)}
	}
	switch {
	case i.early > loopAfter:
	case i.early == loopAfter:
		i.log.Error(fmt.Sprintf("an attached program has ended %d times in a row within %s of its start; it is tried on, at most every %s, and that is not told again before it has run so long", loopAfter, steady, lastDelay), attrs...)
	case failed != nil:
		i.log.Error("an attached program cannot be started; it is tried again", attrs...)
	default:
		i.log.Warn("an attached program has ended; it is started again", attrs...)
	}
	i.set.mu.Lock()
	i.state, i.since, i.last = stateWaiting, time.Now(), last
	i.restarts++
	i.set.mu.Unlock()
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-i.stop:
	case <-i.set.kill:
	}
	return false
}
