package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
)

func requestCommand() *cobra.Command {
	f := &requestFlags{}
	cmd := &cobra.Command{
		Use:   "request URL",
		Short: "Send a request to any back end or web server, and show the answer",
		Long: `Send one request and write the response's body to stdout; what the back end
writes to its error stream goes to stderr.

` + urlForms + `

The URI becomes PATH_INFO, under an empty SCRIPT_NAME. With -P SCRIPT_FILENAME=…
it becomes SCRIPT_NAME instead, which is what PHP wants.

The exit status is 0 when the response came whole, whatever its status (see -f),
1 when it did not, 2 for a mistake in the command line.`,
		Example: `  millrace request fcgi://127.0.0.1:9000/blog/?page=2
  millrace request fcgi+unix:/run/php/php-fpm.sock//index.php -P SCRIPT_FILENAME=/srv/www/index.php
  millrace request scgi://127.0.0.1/ -d @form.txt -H 'Cookie: a=b' -i
  millrace request fcgi://127.0.0.1/private --role authorizer -P REMOTE_USER=jo -i -v
  millrace request ajp://127.0.0.1/ --secret s3cret --json`,
		Args: oneURL,
		RunE: func(cmd *cobra.Command, args []string) error {
			f.stdin, f.stdout, f.stderr = cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr()
			return f.run(cmd.Context(), args[0])
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	f.register(flags)
	f.registerSingle(flags)
	flags.BoolVarP(&f.include, "include", "i", false, "show the response's head before its body")
	flags.StringVarP(&f.output, "output", "o", "", "write the response to `FILE`")
	flags.BoolVarP(&f.fail, "fail", "f", false, "exit with 1 for a status of 400 and above")
	flags.DurationVarP(&f.maxTime, "max-time", "m", 0, "give up when the whole takes longer than this `TIME` (default: no limit)")
	flags.BoolVarP(&f.verbose, "verbose", "v", false, "show on stderr what goes over the connection, each way")
	flags.BoolVar(&f.json, "json", false, "write status, headers and times as JSON to stdout; the body goes to -o FILE, or nowhere")
	return cmd
}

// oneURL is the Args of request and bench.
func oneURL(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return &usageError{"the URL is missing", "usage: " + cmd.UseLine()}
	}
	return atMost(1)(cmd, args)
}

// requestFlags is the command line of request.
type requestFlags struct {
	outgoing
	include bool
	output  string
	fail    bool
	maxTime time.Duration
	verbose bool
	json    bool

	stdin          io.Reader
	stdout, stderr io.Writer
}

// requestResult is what --json says.
type requestResult struct {
	URL           string              `json:"url"`
	Status        int                 `json:"status"`
	Headers       map[string][]string `json:"headers"`
	Variables     map[string]string   `json:"variables,omitempty"`
	LocalRedirect string              `json:"local_redirect,omitempty"`
	Dropped       []string            `json:"dropped,omitempty"`
	BytesSent     int64               `json:"bytes_sent"` // of the body
	Bytes         int64               `json:"bytes"`      // of the response's body
	ConnectMS     float64             `json:"connect_ms"`
	HeadMS        float64             `json:"head_ms"`
	TotalMS       float64             `json:"total_ms"`
	Error         string              `json:"error,omitempty"`
}

func (f *requestFlags) run(ctx context.Context, url string) error {
	e, err := parseEndpoint(url)
	if err != nil {
		return err
	}
	if f.maxTime < 0 {
		return &usageError{fmt.Sprintf("--max-time %v is no time to wait", f.maxTime), "as --max-time 30s"}
	}
	m, err := f.message(e, f.stdin)
	if err != nil {
		return err
	}
	defer m.close()
	out, err := f.open()
	if err != nil {
		return err
	}
	if f.maxTime > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, f.maxTime)
		defer cancel()
	}
	r := &requestResult{URL: url}
	status, err := f.exchange(ctx, e, m, out, r)
	if closeErr := out.Close(); err == nil && closeErr != nil {
		err = &failure{fmt.Sprintf("cannot write %s: %v", f.output, cause(closeErr)), "check the disk"}
	}
	if f.json {
		if err != nil {
			r.Error = err.Error()
		}
		enc := json.NewEncoder(f.stdout)
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		err = errors.Join(err, enc.Encode(r))
	}
	if err == nil && f.fail && r.Status >= 400 {
		return &failure{fmt.Sprintf("%s: the status is %s", e.given, status), "that is a failure because of --fail"}
	}
	return err
}

// nopCloser is a writer that stays open.
type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

// open opens where the response goes.
func (f *requestFlags) open() (io.WriteCloser, error) {
	switch {
	case f.output == "-", f.output == "" && !f.json:
		return nopCloser{f.stdout}, nil
	case f.output == "":
		return nopCloser{io.Discard}, nil
	}
	file, err := os.Create(f.output)
	if err != nil {
		return nil, &usageError{fmt.Sprintf("cannot create %s: %v", f.output, cause(err)), "name a file that can be written"}
	}
	return file, nil
}

// exchange sends the request and writes the response; status is the response's, in words.
func (f *requestFlags) exchange(ctx context.Context, e *endpoint, m *message, out io.Writer, r *requestResult) (status string, err error) {
	start := time.Now()
	stderr := &lockedWriter{w: f.stderr}
	var t *trace
	if f.verbose {
		t = newTrace(e.protocol, stderr)
	}
	said := &programErrors{w: stderr, visible: isTerminal(f.stderr)}
	defer said.end()
	if m.body != nil {
		r.BytesSent = m.body.size
	}
	var connected atomic.Int64 // the time that it took; a dial may go on when its request is given up
	dial := func(ctx context.Context) (net.Conn, error) {
		from := time.Now()
		c, err := e.dial(ctx, f.connectTimeout, f.insecure)
		if err != nil {
			return nil, err
		}
		took := time.Since(from)
		connected.Store(int64(took))
		if t == nil {
			return c, nil
		}
		t.note("connected to %s in %.2f ms", e.address, milliseconds(took))
		return t.wrap(c), nil
	}
	a, err := f.send(ctx, e, m, dial, said)
	r.ConnectMS = milliseconds(time.Duration(connected.Load()))
	if err != nil {
		t.end()
		return "", explain(e, err)
	}
	defer a.body.Close()
	r.take(a, time.Since(start))
	if f.include || f.head {
		if err := writeHead(out, a, isTerminal(out)); err != nil {
			return "", &failure{"cannot write the response: " + cause(err).Error(), "who reads it?"}
		}
	}
	err = f.copyBody(e, out, a, r)
	r.TotalMS = milliseconds(time.Since(start))
	a.body.Close()
	t.end()
	if said.end(); err == nil {
		t.note("head after %.2f ms, a body of %d bytes, %.2f ms in all", r.HeadMS, r.Bytes, r.TotalMS)
	}
	_, status, _ = strings.Cut(a.first, " ")
	return status, err
}

// copyBody writes the body as it comes.
func (f *requestFlags) copyBody(e *endpoint, out io.Writer, a *answer, r *requestResult) error {
	b := make([]byte, 32<<10)
	for {
		n, err := a.body.Read(b)
		r.Bytes += int64(n)
		if n > 0 {
			if _, err := out.Write(b[:n]); err != nil {
				return &failure{"cannot write the response: " + cause(err).Error(), "who reads it?"}
			}
		}
		switch {
		case errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
			return nil
		case err != nil:
			return explain(e, fmt.Errorf("the response is cut short after %d bytes of its body: %w", r.Bytes, err))
		}
	}
}

// take notes an answer's head.
func (r *requestResult) take(a *answer, after time.Duration) {
	r.Status, r.Headers, r.LocalRedirect, r.Dropped = a.Status, a.Header, a.LocalRedirect, a.Dropped
	r.HeadMS = milliseconds(after)
	if len(a.Variables) > 0 {
		r.Variables = map[string]string{}
		for _, v := range a.Variables {
			r.Variables[v.Name] = v.Value
		}
	}
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1e3 }

// writeHead writes a response's head as -i shows it.
func writeHead(w io.Writer, a *answer, escape bool) error {
	lines := []string{a.first}
	for _, name := range slices.Sorted(maps.Keys(a.Header)) {
		for _, value := range a.Header[name] {
			lines = append(lines, name+": "+value)
		}
	}
	for _, v := range a.Variables {
		lines = append(lines, "Variable-"+v.Name+": "+v.Value)
	}
	if a.LocalRedirect != "" {
		lines = append(lines, "Location: "+a.LocalRedirect)
	}
	for i, line := range lines {
		if escape {
			lines[i] = visible(line)
		}
	}
	_, err := io.WriteString(w, strings.Join(lines, "\n")+"\n\n")
	return err
}

// lockedWriter is for those who write at once.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}

// programErrors passes on what a program writes to its error stream. A
// terminal is not to be moved by it.
type programErrors struct {
	w       io.Writer
	visible bool

	mu   sync.Mutex
	open bool // the last line has not ended
}

func (p *programErrors) Write(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open = b[len(b)-1] != '\n'
	if !p.visible {
		return p.w.Write(b)
	}
	lines := strings.Split(string(b), "\n")
	for i := range lines {
		lines[i] = visible(lines[i])
	}
	_, err := io.WriteString(p.w, strings.Join(lines, "\n"))
	return len(b), err
}

// end ends the last line.
func (p *programErrors) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open {
		_, _ = io.WriteString(p.w, "\n") // nobody reads it
		p.open = false
	}
}
