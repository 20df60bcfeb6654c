package adapt

// This file: the configurations of other servers. One line of syntaxes is all
// that ties a server's package in.

import (
	"bytes"
	"path/filepath"
	"slices"
	"strings"

	"millrace/internal/adapt/apache"
	"millrace/internal/adapt/document"
	"millrace/internal/adapt/lighttpd"
	"millrace/internal/adapt/nginx"
	"millrace/internal/config"
)

// syntax is a server whose configuration can be read.
type syntax struct {
	name  string // of --from
	adapt func(path string, o document.Options) (*document.Document, error)

	files   []string // names that tell
	folders []string // names of folders above the file that tell
	signs   []string // what its files have, and no other's; each a word at the beginning of a line
}

func syntaxes() []syntax {
	return []syntax{
		{
			name: "lighttpd", adapt: lighttpd.Adapt,
			files: []string{"lighttpd.conf"}, folders: []string{"lighttpd"},
			signs: []string{"server.", "$HTTP[", "$SERVER[", "var.", "url.", "fastcgi.", "include_shell"},
		},
		{
			name: "nginx", adapt: nginx.Adapt,
			files: []string{"nginx.conf", "fastcgi_params", "uwsgi_params", "scgi_params", "proxy_params", "fastcgi.conf"}, folders: []string{"nginx", "sites-available", "sites-enabled"},
			signs: []string{"server {", "server{", "location ", "upstream ", "http {", "events {", "listen ", "server_name ", "root ", "proxy_pass ", "fastcgi_pass ", "worker_processes ", "try_files ", "proxy_set_header ", "fastcgi_param ", "return ", "add_header "},
		},
		{
			name: "apache", adapt: apache.Adapt,
			files: []string{"apache2.conf", "httpd.conf", ".htaccess"}, folders: []string{"apache2", "httpd"},
			signs: []string{
				"<VirtualHost", "<Directory", "<Location", "<Files", "<IfModule", "<IfDefine", "<IfVersion", "<Proxy", "LoadModule", "DocumentRoot", "ServerName ", "ServerAlias",
				"RewriteEngine", "RewriteRule", "RewriteCond", "RewriteBase", "ProxyPass", "Alias ", "AliasMatch", "ScriptAlias", "Redirect", "WSGI", "Fcgid", "AddHandler", "SetHandler",
				"AddType", "Options ", "AllowOverride", "Require ", "AuthType", "ErrorDocument", "DirectoryIndex", "CustomLog", "SetEnv", "Header ", "Listen ", "FallbackResource", "UserDir",
			},
		},
	}
}

// Syntaxes are the names of the servers whose configurations can be read.
func Syntaxes() []string {
	var names []string
	for _, s := range syntaxes() {
		names = append(names, s.name)
	}
	return names
}

// Guess says by its name, the folders that it is in, and its text whose
// configuration a file is; "": nothing tells.
func Guess(path string, text []byte) string {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	all := syntaxes()
	for _, s := range all {
		if slices.Contains(s.files, filepath.Base(path)) {
			return s.name
		}
	}
	best, most := "", 0
	for _, s := range all {
		n := 0
		for line := range bytes.Lines(text) {
			line = bytes.TrimLeft(line, " \t")
			if slices.ContainsFunc(s.signs, func(sign string) bool { return bytes.HasPrefix(line, []byte(sign)) }) {
				n++
			}
		}
		if n > most {
			best, most = s.name, n
		}
	}
	if best != "" {
		return best
	}
	for _, s := range all {
		above := strings.Split(filepath.ToSlash(filepath.Dir(path)), "/")
		if slices.ContainsFunc(s.folders, func(folder string) bool { return slices.Contains(above, folder) }) {
			return s.name
		}
	}
	return ""
}

// File is a foreign configuration as a millrace.toml. From is one of Syntaxes;
// "": what Guess says. The error is a config.Errors of all that cannot be
// carried over.
func File(path, from string, o document.Options) (*document.Document, error) {
	if from == "" {
		text, err := document.Read(path)
		if err != nil {
			return nil, unread(path, err)
		}
		if from = Guess(path, text); from == "" {
			return nil, config.Errors{{
				File: path, Problem: "nothing tells whose configuration this is",
				Hint: "say it: --from " + strings.Join(Syntaxes(), ", --from "),
			}}
		}
	}
	for _, s := range syntaxes() {
		if s.name == from {
			return s.adapt(path, o)
		}
	}
	return nil, &ArgumentError{Problem: "--from " + quote(from) + ": no such syntax", Fix: "it takes " + strings.Join(Syntaxes(), ", ")}
}

func unread(path string, err error) error {
	return config.Errors{{File: path, Problem: "cannot read the configuration: " + err.Error(), Hint: "check the path and the rights of the file"}}
}
