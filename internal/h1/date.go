package h1

// This file: the Date of responses, which is formatted once a second.

import (
	"net/http"
	"sync/atomic"
	"time"
)

type date struct {
	second int64
	text   string
}

type clock struct{ last atomic.Pointer[date] }

// date is the present time as Date has it.
func (c *clock) date() string {
	now := time.Now()
	if d := c.last.Load(); d != nil && d.second == now.Unix() {
		return d.text
	}
	d := &date{now.Unix(), now.UTC().Format(http.TimeFormat)}
	c.last.Store(d)
	return d.text
}
