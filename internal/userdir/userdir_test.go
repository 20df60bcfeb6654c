package userdir

import (
	"errors"
	"fmt"
	"os/user"
	"strings"
	"testing"
	"time"
)

func TestSplit(t *testing.T) {
	for path, want := range map[string]string{
		"/~ann/a/b": "ann /a/b true true", "/~ann/": "ann / true true", "/~ann": "ann  false true", "/~": "  false true", "/~/x": " /x true true",
		"/ann": "  false false", "/x/~ann": "  false false", "/~~ann//x": "~ann //x true true",
	} {
		name, rest, slash, ok := Split(path)
		if got := fmt.Sprint(name, " ", rest, " ", slash, " ", ok); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

func TestFind(t *testing.T) {
	asked := map[string]int{}
	now := time.Unix(1000, 0)
	all := map[string]*user.User{
		"ann": {Username: "ann", Uid: "1000", HomeDir: "/home/ann/"}, "sys": {Username: "sys", Uid: "3", HomeDir: "/dev"}, "root": {Username: "root", Uid: "0", HomeDir: "/root"},
		"top": {Username: "top", Uid: "1001", HomeDir: "/"}, "top2": {Username: "top2", Uid: "1001", HomeDir: "/home/.."}, "none": {Username: "none", Uid: "1002"}, "rel": {Username: "rel", Uid: "1003", HomeDir: "home"},
		"off": {Username: "off", Uid: "1004", HomeDir: "/home/off"}, "sid": {Username: "sid", Uid: "S-1-5", HomeDir: "/home/sid"}, "ANN": {Username: "ann", Uid: "1000", HomeDir: "/home/ann"},
	}
	o := Options{MinUID: 1000, Disabled: []string{"off"}, Now: func() time.Time { return now }, Lookup: func(name string) (*user.User, error) {
		asked[name]++
		if u := all[name]; u != nil {
			return u, nil
		}
		return nil, errors.New("nobody")
	}}
	users := New(o)
	for _, name := range []string{"sys", "root", "top", "top2", "none", "rel", "off", "sid", "ANN", "nobody", "", "../ann", "ann/..", "a\x00", ".ann", "-rf", "~ann", "änn", "ann:x", strings.Repeat("a", 33)} {
		if u, ok := users.Find(name); ok {
			t.Errorf("%q is %+v", name, u)
		}
	}
	for _, name := range []string{"../ann", "a\x00", "-rf", "off", strings.Repeat("a", 33), "änn"} {
		if asked[name] > 0 {
			t.Errorf("the system was asked for %q", name)
		}
	}
	for range 3 {
		if u, ok := users.Find("ann"); !ok || *u != (User{"ann", "/home/ann", 1000}) {
			t.Errorf("ann is %+v, %v", u, ok)
		}
		users.Find("nobody")
	}
	if asked["ann"] != 1 || asked["nobody"] != 1 {
		t.Errorf("asked %v", asked)
	}
	now = now.Add(remembered)
	all["ann"] = nil
	if _, ok := users.Find("ann"); ok {
		t.Error("who is gone is remembered")
	}
	o.Enabled = []string{"ann", "off"}
	all["ann"], all["bob"] = &user.User{Username: "ann", Uid: "1000", HomeDir: "/home/ann"}, &user.User{Username: "bob", Uid: "1005", HomeDir: "/home/bob"}
	for name, want := range map[string]bool{"ann": true, "bob": false, "off": false} {
		if _, ok := New(o).Find(name); ok != want {
			t.Errorf("enabled: %s %v", name, ok)
		}
	}
	for i := range 3 * maxKnown {
		users.Find(fmt.Sprint("guess", i))
	}
	if len(users.known) > maxKnown {
		t.Errorf("%d are remembered", len(users.known))
	}
}
