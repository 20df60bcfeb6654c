package cgi

import (
	"log/slog"
	"net/http"
	"path"
	"path/filepath"

	"millrace/gateway"
)

// Handler is an http.Handler for one script: a Host and what its requests need
// beside. For scripts that an interpreter runs, Host.Path is the interpreter's,
// and Script the script's:
//
//	&cgi.Handler{Host: &cgi.Host{Path: "/usr/bin/php-cgi", Dir: "/srv/php"}, Script: "/srv/php/report.php"}
type Handler struct {
	Host *Host // required

	// Mount is the part of the path that is the script's: SCRIPT_NAME. The
	// rest is PATH_INFO. "": the script answers for the whole path.
	Mount string

	// Script is the file that SCRIPT_FILENAME names; "": Host.Path.
	Script string

	// Root is the folder of documents: DOCUMENT_ROOT, and what PATH_INFO is
	// translated under to PATH_TRANSLATED (RFC 3875, section 4.1.6), without
	// regard to whether something is there. "": neither is set.
	Root string

	// Redirect answers local redirects; nil: this Handler. See gateway.Handler.
	Redirect http.Handler

	MaxBody int64        // see gateway.Handler
	Log     *slog.Logger // nil: slog.Default()
}

var _ http.Handler = (*Handler)(nil)

func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g := gateway.Handler{
		RoundTripper: h.Host,
		Mount:        h.Mount,
		Complete:     h.complete,
		Redirect:     h.Redirect,
		MaxBody:      h.MaxBody,
		Log:          h.Log,
	}
	g.ServeHTTP(w, r)
}

// complete adds what only whoever knows the script can say.
func (h *Handler) complete(_ *http.Request, req *gateway.Request) error {
	params := gateway.Set(req.Params, "REDIRECT_STATUS", "200") // php-cgi answers nobody without it
	if h.Script != "" {
		params = gateway.Set(params, "SCRIPT_FILENAME", h.Script)
	}
	if h.Root != "" {
		params = gateway.Set(params, "DOCUMENT_ROOT", h.Root)
		if info := req.Param("PATH_INFO"); info != "" {
			params = gateway.Set(params, "PATH_TRANSLATED", filepath.Join(h.Root, filepath.FromSlash(path.Clean("/"+info))))
		}
	}
	req.Params = params
	return nil
}
