package server

import (
	"io"
	"net/http"

	"millrace/internal/config"

	"millrace/internal/accesslog"
)

// accessLog is what the server needs of an accesslog.Log.
type accessLog interface {
	WrapAs(next http.Handler, f *accesslog.Format, site string) http.Handler
	SetRotation(r accesslog.Rotation)
	io.Writer // an entry of a slow log
	Reopen() error
	Close() error
}

var _ accessLog = (*accesslog.Log)(nil)

func (s *Server) openAccessLog(path string) (accessLog, error) {
	l, err := accesslog.OpenBy(path, s.keeper.OpenLog)
	if err != nil {
		return nil, &Error{Problem: "cannot open the log " + path, Err: err, Fix: "check the folder and its rights"}
	}
	return l, nil
}

// logPaths are the files that a configuration logs to, but for the error log.
func logPaths(c *config.Config) []string {
	var paths []string
	for i := range c.Sites {
		paths = append(paths, c.Sites[i].AccessLog)
	}
	for _, a := range c.Apps {
		paths = append(paths, a.SlowLog)
	}
	return paths
}

// slowLog is the slow log of an app. It compares equal to one at the same
// path: that is the same file from one configuration to the next.
type slowLog struct {
	path string
	io.Writer
}

// slowLogOf returns what an app's pool has for its slow log, of logs that hold
// all that the plan needs; nil without one.
func slowLogOf(a *config.App, logs map[string]accessLog) io.Writer {
	if a.SlowLog == "" || logs[a.SlowLog] == nil {
		return nil
	}
	return slowLog{a.SlowLog, logs[a.SlowLog]}
}

// openLogs opens the access and slow logs of a plan that are not among have,
// and returns all that the plan needs; fresh are the paths that were opened.
func (s *Server) openLogs(plan *Plan, have map[string]accessLog) (all map[string]accessLog, fresh []string, err error) {
	all = map[string]accessLog{}
	for _, path := range logPaths(plan.Config) {
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
	s.setRotations(plan, all)
	return all, fresh, nil
}

// setRotations has the access logs rotated as a plan says.
func (s *Server) setRotations(plan *Plan, logs map[string]accessLog) {
	for i := range plan.Config.Sites {
		c := &plan.Config.Sites[i]
		if l := logs[c.AccessLog]; l != nil && c.AccessLog != "" {
			keep := c.AccessLogKeep
			l.SetRotation(accesslog.Rotation{
				MaxSize: int64(c.AccessLogMaxSize),
				Rename:  func(path string) error { return s.keeper.RotateLog(path, keep) },
			})
		}
	}
}

func (s *Server) closeLogs(logs map[string]accessLog, paths []string) {
	for _, path := range paths {
		if err := logs[path].Close(); err != nil {
			s.log.Error("cannot close a log", "path", path, "error", err)
		}
	}
}
