//go:build unix

package attach

// What programs and jobs print.

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"log/slog"
	"sync"
	"time"
)

const (
	maxLine = 8 * 1024    // bytes; a longer line is logged in pieces
	lastFew = time.Second // for what was printed before the end to be read
)

type pipeEnd io.ReadCloser

// output logs lines from pipes. A program that prints faster than the log is
// written waits.
type output struct {
	readers sync.WaitGroup
	mu      sync.Mutex
	pipes   map[pipeEnd]bool
}

// follow logs what comes from a pipe until its end, and closes it.
func (o *output) follow(pipe pipeEnd, log *slog.Logger) {
	o.mu.Lock()
	o.pipes[pipe] = true
	o.mu.Unlock()
	o.readers.Go(func() {
		lines(pipe, func(text string) { log.Info(text) })
		o.mu.Lock()
		delete(o.pipes, pipe)
		o.mu.Unlock()
		pipe.Close()
	})
}

// close ends everything, when all has ended. What a program has left behind
// may hold its pipe open: nobody reads that any more.
func (o *output) close() {
	timer := time.AfterFunc(lastFew, func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		for pipe := range o.pipes {
			pipe.Close()
		}
	})
	o.readers.Wait()
	timer.Stop()
}

// lines splits what comes.
func lines(r io.Reader, say func(string)) {
	b := bufio.NewReaderSize(r, maxLine)
	for {
		text, err := b.ReadSlice('\n')
		if len(text) > 0 {
			say(string(bytes.TrimRight(text, "\r\n")))
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
	}
}
