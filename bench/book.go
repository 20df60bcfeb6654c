package main

// How each stack was started: its commands and their configuration files, so
// that anyone can repeat it.

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// book keeps what was started, once for each text of each stack. A nil book
// keeps nothing.
type book struct {
	work, tree string // folders that are not the reader's
	pages      []page
	seen       map[string]bool
}

type page struct{ stack, text string }

const maxListed = 20_000 // of a configuration file

var ports = regexp.MustCompile(`(127\.0\.0\.1:|--port |server\.port = )[0-9]+`)

// started takes one command; a file of the stack's folder that it names is
// its configuration.
func (b *book) started(stack, folder string, env []string, name string, args []string) {
	if b == nil {
		return
	}
	var text strings.Builder
	for _, one := range append(append(append([]string{}, env...), name), args...) {
		text.WriteString(quoted(one) + " ")
	}
	for _, arg := range args {
		path := arg
		if !filepath.IsAbs(path) {
			path = filepath.Join(folder, path)
		}
		info, err := os.Stat(path)
		if err != nil || !info.Mode().IsRegular() || info.Size() > maxListed || !strings.HasPrefix(path, folder+string(os.PathSeparator)) {
			continue
		}
		if config, err := os.ReadFile(path); err == nil {
			fmt.Fprintf(&text, "\n\n# %s\n%s", filepath.Base(path), strings.TrimSpace(string(config)))
		}
	}
	plain := strings.NewReplacer(folder, "$DIR", b.work, "$WORK", b.tree+string(os.PathSeparator), "").Replace(text.String())
	plain = strings.TrimSpace(ports.ReplaceAllString(plain, "${1}PORT"))
	if b.seen == nil {
		b.seen = map[string]bool{}
	}
	if b.seen[stack+"\x00"+plain] {
		return
	}
	b.seen[stack+"\x00"+plain] = true
	b.pages = append(b.pages, page{stack, plain})
}

// quoted is an argument as a shell takes it.
func quoted(arg string) string {
	if arg != "" && !strings.ContainsAny(arg, " \t\n\"'$`\\*?[](){};&|<>") {
		return arg
	}
	return "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
}

// markdown writes the book, sorted by when a stack was first started.
func (b *book) markdown(w io.Writer) {
	var order []string
	texts := map[string][]string{}
	for _, p := range b.pages {
		if texts[p.stack] == nil {
			order = append(order, p.stack)
		}
		texts[p.stack] = append(texts[p.stack], p.text)
	}
	for _, stack := range order {
		fmt.Fprintf(w, "\n## %s\n", stack)
		for _, text := range texts[stack] {
			fmt.Fprintf(w, "\n```\n%s\n```\n", text)
		}
	}
}
