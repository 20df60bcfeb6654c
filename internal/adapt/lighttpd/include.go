package lighttpd

// This file: include and include_shell.

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"millrace/internal/adapt/document"
)

// shellTime is what a command of include_shell may take.
const shellTime = 10 * time.Second

func (p *parser) include(shell bool) error {
	at := p.tok.at
	if err := p.advance(); err != nil {
		return err
	}
	v, err := p.expression()
	if err != nil {
		return err
	}
	if v.shape == isList {
		return fail(v.at, "operand must be string", `write include "FILE"`)
	}
	if shell {
		return p.includeShell(at, v.string())
	}
	return p.includeFiles(at, v.string())
}

func (p *parser) includeFiles(at document.Place, pattern string) error {
	path := pattern
	if !strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "./") && !strings.HasPrefix(path, "../") {
		path = filepath.Join(p.folder, path)
	}
	var files []string
	if strings.ContainsAny(path, "*?[]{}") { // none is no error then
		for _, one := range braces(path) {
			found, err := filepath.Glob(one)
			if err != nil {
				return fail(at, "glob() "+shown(path)+" failed: "+err.Error(), "* and ? stand for text, [a-z] for one of some letters")
			}
			slices.Sort(found)
			files = append(files, found...)
		}
	} else {
		files = []string{path}
	}
	for _, file := range files {
		if err := p.includeFile(at, file); err != nil {
			return err
		}
	}
	return nil
}

func (p *parser) includeFile(at document.Place, file string) error {
	switch p.files++; {
	case slices.Contains(p.open, file):
		return fail(at, "include of "+shown(file)+" never ends: it is being read already", "leave one of the includes out")
	case len(p.open) > document.MaxDepth:
		return fail(at, "includes are nested too deeply", "include the files from one file")
	case p.files > document.MaxFiles:
		return fail(at, "there are too many includes", "is this the right folder?")
	}
	text, err := document.Read(file)
	if errors.Is(err, fs.ErrNotExist) {
		return fail(at, "include file not found: "+shown(file), "relative names are looked for in "+p.folder)
	}
	if err != nil {
		return fail(at, "opening configfile "+shown(file)+" failed: "+err.Error(), "check the path and the rights of the file")
	}
	p.document.From(file)
	return p.included(file, string(text))
}

// included reads the text of another file, with its own idea of blocks: they end
// where the file ends.
func (p *parser) included(name, text string) error {
	p.open = append(p.open, name)
	err := p.file(name, text)
	p.open = p.open[:len(p.open)-1]
	return err
}

func (p *parser) includeShell(at document.Place, command string) error {
	if !p.options.Shell {
		return fail(at, "include_shell runs a command, and is refused: "+shown(command), "allow it by --allow-include-shell, or write what the command prints to a file and include that")
	}
	if p.files++; p.files > document.MaxFiles || len(p.open) > document.MaxDepth {
		return fail(at, "there are too many includes", "include the files from one file")
	}
	ctx, cancel := context.WithTimeout(context.Background(), shellTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", command)
	cmd.Dir = p.folder
	cmd.WaitDelay = time.Second
	if p.options.Environ != nil {
		cmd.Env = p.options.Environ
	}
	var out bytes.Buffer
	cmd.Stdout = &bounded{w: &out, left: document.MaxFile}
	err := cmd.Run()
	var exited *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return fail(at, `command "`+shown(command)+`" did not end within 10 seconds`, "write what it prints to a file, and include that")
	case errors.As(err, &exited):
		return fail(at, `command "`+shown(command)+`" exited non-zero: `+exited.String(), "run it by hand in "+p.folder)
	case err != nil:
		return fail(at, `command "`+shown(command)+`": `+err.Error(), "run it by hand in "+p.folder)
	case !utf8.Valid(out.Bytes()):
		return fail(at, `command "`+shown(command)+`" prints what is not text in UTF-8`, "run it by hand in "+p.folder)
	}
	return p.included(shown(command), out.String())
}

// bounded takes so many bytes.
type bounded struct {
	w    io.Writer
	left int
}

func (b *bounded) Write(data []byte) (int, error) {
	if b.left -= len(data); b.left < 0 {
		return 0, errors.New("it prints more than 4 MiB")
	}
	return b.w.Write(data)
}

// braces is glob's {a,b}: a pattern for each, at most a thousand.
func braces(pattern string) []string {
	open := strings.IndexByte(pattern, '{')
	if open < 0 {
		return []string{pattern}
	}
	depth, start := 0, open+1
	var parts []string
	for i := open; i < len(pattern); i++ {
		switch pattern[i] {
		case '{':
			depth++
		case ',':
			if depth == 1 {
				parts, start = append(parts, pattern[start:i]), i+1
			}
		case '}':
			if depth--; depth > 0 {
				continue
			}
			var all []string
			for _, part := range append(parts, pattern[start:i]) {
				for _, of := range braces(pattern[:open] + part + pattern[i+1:]) {
					if all = append(all, of); len(all) >= document.MaxFiles {
						return all
					}
				}
			}
			return all
		}
	}
	return []string{pattern}
}
