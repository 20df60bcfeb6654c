package server

import (
	"net/http"

	"millrace/internal/accesslog"
)

// accessLog is what the server needs of an accesslog.Log.
type accessLog interface {
	Wrap(next http.Handler) http.Handler
	Reopen() error
	Close() error
}

var _ accessLog = (*accesslog.Log)(nil)

func openAccessLog(path string) (accessLog, error) {
	l, err := accesslog.Open(path)
	if err != nil {
		return nil, &Error{Problem: "cannot open the access log " + path, Err: err, Fix: "check the folder and its rights"}
	}
	return l, nil
}

// openLogs opens the access logs of a plan that are not among have, and
// returns all that the plan needs; fresh are the paths that were opened.
func (s *Server) openLogs(plan *Plan, have map[string]accessLog) (all map[string]accessLog, fresh []string, err error) {
	all = map[string]accessLog{}
	for _, site := range plan.Config.Sites {
		path := site.AccessLog
		if path == "" || all[path] != nil {
			continue
		}
		if l := have[path]; l != nil {
			all[path] = l
			continue
		}
		l, err := s.openLog(path)
		if err != nil {
			s.closeLogs(all, fresh)
			return nil, nil, err
		}
		all[path] = l
		fresh = append(fresh, path)
	}
	return all, fresh, nil
}

func (s *Server) closeLogs(logs map[string]accessLog, paths []string) {
	for _, path := range paths {
		if err := logs[path].Close(); err != nil {
			s.log.Error("cannot close an access log", "path", path, "error", err)
		}
	}
}
