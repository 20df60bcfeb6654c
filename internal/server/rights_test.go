package server

import (
	"os"
	"os/user"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"millrace/internal/config"
	"millrace/internal/supervise"
)

// appWith is a configuration of one app.
func appWith(a config.App, s config.Server) *config.Config {
	return &config.Config{Server: s, Apps: map[string]*config.App{"blog": &a}}
}

func TestRightsOf(t *testing.T) {
	self, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	root := &supervise.User{UID: 0, GID: 0, Groups: []uint32{0}, Name: "root", Home: "/root"}
	if entry, err := user.LookupId("0"); err == nil {
		root.Home = entry.HomeDir
		root.Groups = nil
		ids, err := entry.GroupIds()
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range ids {
			n, _ := strconv.Atoi(id)
			root.Groups = append(root.Groups, uint32(n))
		}
	}
	numeric := &supervise.User{UID: 61001, GID: 61002, Groups: []uint32{61002}}
	mask := 0o27
	for _, test := range []struct {
		name       string
		app        config.App
		server     config.Server
		privileged bool
		want       supervise.Rights
		problem    string // that the error has; "": none
	}{
		{name: "nothing", privileged: true},
		{name: "by name", app: config.App{User: "root"}, privileged: true, want: supervise.Rights{User: root}},
		{name: "by number", app: config.App{User: "0"}, privileged: true, want: supervise.Rights{User: root}},
		{name: "a number alone", app: config.App{User: "61001", Group: "61002"}, privileged: true, want: supervise.Rights{User: numeric}},
		{name: "the server's", server: config.Server{User: "61001", Group: "61002"}, privileged: true, want: supervise.Rights{User: numeric}},
		{name: "its own before the server's", app: config.App{User: "61001", Group: "61002"}, server: config.Server{User: "root", Group: "7"}, privileged: true, want: supervise.Rights{User: numeric}},
		{name: "the server's group is its user's alone", app: config.App{User: "root"}, server: config.Server{User: "61001", Group: "61002"}, privileged: true, want: supervise.Rights{User: root}},
		{name: "limits", app: config.App{Umask: "0027", Rlimits: map[string]string{"nofile": "100", "core": "unlimited"}}, want: supervise.Rights{
			Umask: &mask, Limits: []supervise.Limit{{Resource: "core", Value: supervise.Unlimited}, {Resource: "nofile", Value: 100}},
		}},
		{name: "chroot", app: config.App{Chroot: "/srv/blog"}, privileged: true, want: supervise.Rights{Chroot: "/srv/blog"}},
		{name: "ourselves", app: config.App{User: self.Username}},
		{name: "ourselves, by number", app: config.App{User: self.Uid, Group: self.Gid}},

		{name: "no such user", app: config.App{User: "nobody-of-that-name"}, privileged: true, problem: `user = "nobody-of-that-name" in [app.blog]: there is no such user`},
		{name: "no such user for all", server: config.Server{User: "nobody-of-that-name"}, privileged: true, problem: `user = "nobody-of-that-name" in [server]: there is no such user`},
		{name: "no such group", app: config.App{User: "root", Group: "none-of-that-name"}, privileged: true, problem: `group = "none-of-that-name" in [app.blog]: there is no such group`},
		{name: "a number without a group", app: config.App{User: "61001"}, privileged: true, problem: `user = "61001" in [app.blog]: no user of this machine has that number`},
		{name: "another user", app: config.App{User: "61001", Group: "61002"}, problem: `user = "61001" in [app.blog]: only root may start processes as another user`},
		{name: "another group", app: config.App{Group: "61002"}, problem: `group = "61002" in [app.blog]: only root may start processes of another group`},
		{name: "another root", app: config.App{Chroot: "/srv/blog"}, problem: `chroot = "/srv/blog" in [app.blog]: only root may change the root folder`},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := rightsOf(appWith(test.app, test.server), "blog", test.privileged)
			switch {
			case test.problem != "":
				if err == nil || !strings.HasPrefix(err.Error(), test.problem) || err.(*Error).Hint() == "" {
					t.Errorf("got %v, want %s", err, test.problem)
				}
			case err != nil:
				t.Error(err)
			case !reflect.DeepEqual(got, test.want):
				t.Errorf("got %+v %+v, want %+v %+v", got, got.User, test.want, test.want.User)
			}
		})
	}
}

// A group alone is for the user that we are.
func TestRightsOfGroup(t *testing.T) {
	got, err := rightsOf(appWith(config.App{Group: "61002"}, config.Server{}), "blog", true)
	if err != nil {
		t.Fatal(err)
	}
	if got.User == nil || int(got.User.UID) != os.Getuid() || got.User.GID != 61002 || !reflect.DeepEqual(got.User.Groups, []uint32{61002}) {
		t.Errorf("got %+v", got.User)
	}
}

// What the front gets to know has no rights in it, and needs none.
func TestSealedPlanHasNoRights(t *testing.T) {
	c := appWith(config.App{Python: "/usr/bin/python3", WSGI: "a:b", User: "61001", Group: "61002", Secrets: map[string]string{"KEY": "/no/such/file"}}, config.Server{})
	sealed, err := (&Plan{Config: c}).Seal(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if env, rights, err := sealed.processes("blog"); err != nil || len(env) != 0 || rights.User != nil {
		t.Errorf("%q, %+v, %v", env, rights, err)
	}
}
