package main

// What a scenario found: a table, a plot and the goals, as Markdown.

import (
	"fmt"
	"io"
	"strings"
)

// section is what one scenario found.
type section struct {
	name  string // of -only
	title string
	note  string // a sentence below the title; may be empty
	head  []string
	rows  [][]string
	chart *chart // nil: there is nothing to draw
	goals []verdict
}

// verdict is a goal with what was measured.
type verdict struct {
	id   string // of wants; empty: a goal of the section's own
	met  bool
	text string // what was measured and, for a goal of its own, what is wanted
}

// row adds one; cells that are left out are empty.
func (sec *section) row(cells ...string) {
	for len(cells) < len(sec.head) {
		cells = append(cells, "")
	}
	sec.rows = append(sec.rows, cells)
}

// goal says whether a figure is what it should be.
func (sec *section) goal(met bool, format string, args ...any) {
	sec.goals = append(sec.goals, verdict{"", met, fmt.Sprintf(format, args...)})
}

// wanted says what was measured for one of wants.
func (sec *section) wanted(id string, met bool, format string, args ...any) {
	sec.goals = append(sec.goals, verdict{id, met, fmt.Sprintf(format, args...)})
}

func word(met bool) string {
	if met {
		return "met"
	}
	return "missed"
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

// markdown writes the section; plot is where its chart lies, or empty.
func (sec *section) markdown(w io.Writer, plot string) {
	fmt.Fprintf(w, "\n### %s\n", sec.title)
	if sec.note != "" {
		fmt.Fprintf(w, "\n%s\n", sec.note)
	}
	if plot != "" {
		fmt.Fprintf(w, "\n![%s](%s)\n", sec.title, plot)
	}
	fmt.Fprintf(w, "\n| %s |\n|%s\n", strings.Join(sec.head, " | "), strings.Repeat("---|", len(sec.head)))
	for _, row := range sec.rows {
		cells := make([]string, len(row))
		for i, cell := range row {
			cells[i] = strings.ReplaceAll(firstLine(cell), "|", `\|`)
		}
		fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | "))
	}
	for _, g := range sec.goals {
		what := ""
		if want := wantOf(g.id); want != nil {
			what = want.work + ": at least " + want.least + "; "
			if want.most {
				what = want.work + ": " + want.least + "; "
			}
		}
		fmt.Fprintf(w, "\nGoal %s: %s%s.\n", word(g.met), what, g.text)
	}
}
