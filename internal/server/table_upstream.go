package server

import (
	"fmt"
	"io"
	"strings"
)

// WriteUpstreams shows the back ends that millrace did not start, for people.
func (s *Status) WriteUpstreams(w io.Writer) error {
	b := new(strings.Builder)
	for i := range s.Upstreams {
		u := &s.Upstreams[i]
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(b, "%s  %s, %s", printable(u.Name), printable(u.Protocol), printable(u.Balance))
		if u.Waiting > 0 {
			fmt.Fprintf(b, ", %d wait", u.Waiting)
		}
		for _, k := range []struct {
			n    uint64
			what string
		}{{u.Retried, "retried"}, {u.Refused, "refused with a full queue"}, {u.Late, "waited in vain"}} {
			if k.n > 0 {
				fmt.Fprintf(b, ", %d %s", k.n, k.what)
			}
		}
		b.WriteByte('\n')
		t := table{right: "llrrrrl"}
		t.row("SERVER", "STATE", "WEIGHT", "ACTIVE", "ANSWERED", "FAILED", "LAST FAILURE")
		for _, k := range u.Servers {
			state, active := string(k.State), fmt.Sprint(k.Active)
			if k.Backup {
				state += ", backup"
			}
			if k.Limit > 0 {
				active += fmt.Sprintf("/%d", k.Limit)
			}
			t.row(printable(k.Address), printable(state), fmt.Sprint(k.Weight), active, fmt.Sprint(k.Answered), fmt.Sprint(k.Failed), printable(k.Error))
		}
		t.write(b)
		for _, n := range u.Names {
			if n.Error != "" {
				fmt.Fprintf(b, "cannot look up %s: %s\n", printable(n.Name), printable(n.Error))
			}
		}
	}
	if len(s.Upstreams) == 0 {
		b.WriteString("there is no [upstream.NAME]\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}
