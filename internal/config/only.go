package config

import (
	"maps"
	"strings"
)

// Loaded reports whether the configuration was read from a file.
func (c *Config) Loaded() bool { return c.src.file != "" }

// Only leaves one app of the configuration, without its [[listen]], and what
// [server] says of limits and spooling: no sites, no upstreams, no other app,
// no pidfile, error_log or control. It is for a program that serves the app at
// an address of its own, perhaps beside the server whose configuration this is.
func (c *Config) Only(name string) {
	kept := familyPath("app", name)
	app := c.Apps[name]
	c.Sites, c.Upstreams, c.Apps = nil, nil, map[string]*App{name: app}
	app.Listen = nil
	c.Server.PIDFile, c.Server.ErrorLog, c.Server.Control = "", "", ""
	maps.DeleteFunc(c.src.given, func(path string, _ place) bool {
		family, _, _ := strings.Cut(path, ".")
		family, _, _ = strings.Cut(family, "[")
		switch {
		case family == "site", family == "upstream":
			return true
		case path == "app":
			return false
		case family == "app":
			return path != kept && !strings.HasPrefix(path, kept+".") || strings.HasPrefix(path, join(kept, "listen"))
		}
		return path == "server.pidfile" || path == "server.error_log" || path == "server.control"
	})
}
