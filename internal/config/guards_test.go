package config

import (
	"strings"
	"testing"
)

// A guard of scripts is none of the files beside them, and that is said.
func TestGuardsScriptsWarning(t *testing.T) {
	const head = "[upstream.php]\nprotocol = \"fastcgi\"\nservers = [\"127.0.0.1:9000\"]\n"
	const site = "[[site]]\nlisten = [\"127.0.0.1:8000\"]\n"
	const scripts = "[[site.route]]\npath = \"/private/*\"\nupstream = \"php\"\nscript = { root = \".\" }\n"
	const guard = "allow = [\"10.0.0.0/8\"]\n"
	const files = "[[site.route]]\npath = \"/private/*\"\nfiles = { root = \".\" }\n"
	for _, tt := range []struct {
		name, text string
		want       bool
	}{
		{"files below for all", site + scripts + guard + files, true},
		{"the site's root below", site + "root = \".\"\n" + scripts + guard, true},
		{"by password", site + "root = \".\"\n" + scripts + "basic_auth = { file = \"htpasswd\" }\n", true},
		{"the same guard below", site + "root = \".\"\n" + scripts + guard + files + guard, false},
		{"nothing below", site + scripts + guard, false},
		{"no guard", site + "root = \".\"\n" + scripts, false},
		{"programs by extension", site + "root = \".\"\n" + "[[site.route]]\npath = \"/private/*\"\ncgi = { root = \".\", extensions = [\".cgi\"] }\n" + guard, true},
		{"a folder of programs", site + "root = \".\"\n" + "[[site.route]]\npath = \"/private/*\"\ncgi = { root = \".\" }\n" + guard, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg, err := Parse("x.toml", []byte(head+tt.text), world(t))
			if err != nil {
				t.Fatal(err)
			}
			got := false
			for _, w := range cfg.Warnings {
				got = got || strings.Contains(w.Error(), "answers for scripts alone")
			}
			if got != tt.want {
				t.Errorf("warned: %v, want %v; %v", got, tt.want, cfg.Warnings)
			}
		})
	}
}

// A rewrite that goes on below may pass a guard above it, and that is said.
func TestRewritesPastWarning(t *testing.T) {
	const head = "[[site]]\nlisten = [\"127.0.0.1:8000\"]\nroot = \".\"\n"
	const guard = "[[site.route]]\npath = \"/private/*\"\nallow = [\"10.0.0.0/8\"]\nfiles = { root = \".\" }\n"
	const other = "[[site.route]]\npath = \"/private/x\"\nfiles = { root = \".\" }\n"
	rewrite := func(to string) string { return "[[site.route]]\nregexp = '^/w/(.*)$'\nrewrite = " + to + "\n" }
	for _, tt := range []struct {
		name, text string
		want       bool
	}{
		{"anywhere", guard + rewrite(`"/{1}"`), true},
		{"below it", guard + rewrite(`"/private/a/{1}"`), true},
		{"it", guard + rewrite(`"/private/a?b={1}"`), true},
		{"elsewhere", guard + rewrite(`"/public/{1}"`), false},
		{"one path elsewhere", guard + rewrite(`"/p?q={1}"`), false},
		{"anew", guard + rewrite(`{ to = "/{1}", repeat = true }`), false},
		{"above", rewrite(`"/{1}"`) + guard, false},
		{"guarded below as well", guard + rewrite(`"/{1}"`) + guard, false},
		{"no guard", other + rewrite(`"/{1}"`), false},
		{"its own path", guard + rewrite(`"{path}.html"`), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg, err := Parse("x.toml", []byte(head+tt.text), world(t))
			if err != nil {
				t.Fatal(err)
			}
			got := false
			for _, w := range cfg.Warnings {
				got = got || strings.Contains(w.Error(), "past the one above that guards")
			}
			if got != tt.want {
				t.Errorf("warned: %v, want %v; %v", got, tt.want, cfg.Warnings)
			}
		})
	}
}
