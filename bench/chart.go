package main

// Plots: bars with the spread of the rounds, as SVG that is readable on a
// light page and on a dark one.

import (
	"bytes"
	"fmt"
	"html"
	"math"
	"strconv"
)

// chart is one plot.
type chart struct {
	title, unit string
	bars        []bar
}

// bar is one figure.
type bar struct {
	group            string // bars of one group stand below its name; may be empty
	label            string
	value, low, high float64
	note             string // in place of a figure
	ours             bool
}

// Measures of a plot, in pixels.
const (
	chartWidth  = 760
	chartLabel  = 200 // where bars begin
	chartValue  = 110 // room for the figure after the longest bar
	chartRow    = 26
	chartBar    = 16
	chartMargin = 16
	chartTop    = 56
)

// chartStyle has the colours of both kinds of pages. A picture can't see the
// page that it is on, so it brings its ground along.
const chartStyle = `
    text { font: 13px system-ui, sans-serif; fill: #1f2937 }
    .title { font-size: 16px; font-weight: 600 }
    .unit, .note { fill: #6b7280 }
    .group { font-weight: 600 }
    .ground { fill: #ffffff }
    .ours { fill: #2563eb }
    .theirs { fill: #9ca3af }
    .spread { stroke: #1f2937; stroke-width: 1.5 }
    @media (prefers-color-scheme: dark) {
      text { fill: #e5e7eb }
      .unit, .note { fill: #9ca3af }
      .ground { fill: #111827 }
      .ours { fill: #60a5fa }
      .theirs { fill: #6b7280 }
      .spread { stroke: #f3f4f6 }
    }
  `

// svg draws the plot.
func (c *chart) svg() []byte {
	longest, height, group := 0.0, chartTop, ""
	unit := c.unit
	for _, one := range c.bars {
		if one.high > one.low {
			unit = c.unit + "; the line spans the rounds"
		}
		longest = max(longest, one.value, one.high)
		if one.group != group {
			height += chartRow
			group = one.group
		}
		height += chartRow
	}
	height += chartMargin
	scale := 0.0
	if longest > 0 {
		scale = (chartWidth - chartLabel - chartValue - chartMargin) / longest
	}
	var w bytes.Buffer
	fmt.Fprintf(&w, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%[1]d" height="%[2]d" role="img">`+"\n", chartWidth, height)
	fmt.Fprintf(&w, "  <title>%s</title>\n  <style>%s</style>\n", html.EscapeString(c.title), chartStyle)
	fmt.Fprintf(&w, `  <rect class="ground" width="%d" height="%d" rx="6"/>`+"\n", chartWidth, height)
	fmt.Fprintf(&w, `  <text class="title" x="%d" y="26">%s</text>`+"\n", chartMargin, html.EscapeString(c.title))
	fmt.Fprintf(&w, `  <text class="unit" x="%d" y="44">%s</text>`+"\n", chartMargin, html.EscapeString(unit))
	y := chartTop
	group = ""
	for _, one := range c.bars {
		if one.group != group {
			group = one.group
			fmt.Fprintf(&w, `  <text class="group" x="%d" y="%d">%s</text>`+"\n", chartMargin, y+chartRow-9, html.EscapeString(group))
			y += chartRow
		}
		middle := y + chartRow/2
		fmt.Fprintf(&w, `  <text x="%d" y="%d" text-anchor="end">%s</text>`+"\n", chartLabel-8, middle+4, html.EscapeString(one.label))
		if one.note != "" {
			fmt.Fprintf(&w, `  <text class="note" x="%d" y="%d">%s</text>`+"\n", chartLabel, middle+4, html.EscapeString(one.note))
			y += chartRow
			continue
		}
		class := "theirs"
		if one.ours {
			class = "ours"
		}
		fmt.Fprintf(&w, `  <rect class="%s" x="%d" y="%d" width="%.1f" height="%d" rx="2"/>`+"\n", class, chartLabel, middle-chartBar/2, max(1, one.value*scale), chartBar)
		if one.high > one.low {
			fmt.Fprintf(&w, `  <line class="spread" x1="%.1f" y1="%d" x2="%.1f" y2="%[2]d"/>`+"\n", chartLabel+one.low*scale, middle, chartLabel+one.high*scale)
		}
		fmt.Fprintf(&w, `  <text x="%.1f" y="%d">%s</text>`+"\n", chartLabel+max(one.value, one.high)*scale+8, middle+4, figure(one.value))
		y += chartRow
	}
	w.WriteString("</svg>\n")
	return w.Bytes()
}

// figure is a number as people read it: 12,345 or 0.29.
func figure(f float64) string {
	if math.Abs(f) < 100 {
		return strconv.FormatFloat(f, 'g', 3, 64)
	}
	digits := strconv.FormatFloat(math.Abs(f), 'f', 0, 64)
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	if f < 0 {
		return "-" + digits
	}
	return digits
}
