package server

import (
	"errors"
	"strings"
	"testing"

	"millrace/internal/config"
)

func TestMayBind(t *testing.T) {
	for _, test := range []struct {
		app    config.App
		server config.Server
		want   string // in the error; "": none
	}{
		{config.App{Command: []string{"p", "{socket}"}}, config.Server{}, ""},
		{config.App{Command: []string{"p", "{socket}"}, User: "web"}, config.Server{User: "web"}, ""},
		{config.App{Command: []string{"p", "{port}"}, User: "blog", Chroot: "/srv"}, config.Server{}, ""},
		{config.App{Command: []string{"p", "--listen={socket}"}, User: "blog"}, config.Server{User: "web"}, `user = "blog"`},
		{config.App{Command: []string{"p", "{socket}"}, Chroot: "/srv"}, config.Server{}, `chroot = "/srv"`},
	} {
		err := mayBind("blog", &config.Config{Server: test.server, Apps: map[string]*config.App{"blog": &test.app}})
		var e *Error
		switch {
		case test.want == "" && err != nil:
			t.Errorf("%+v: %v", test.app, err)
		case test.want != "" && (!errors.As(err, &e) || !strings.Contains(e.Problem, test.want) || !strings.Contains(e.Problem, `command = ["p", "`) || e.Fix == ""):
			t.Errorf("%+v: %v; want %q in it", test.app, err, test.want)
		}
	}
}
