package server

// The start of a server that follows another one, which serves meanwhile.

import (
	"context"
	"maps"
	"slices"
)

// FollowError says which app keeps a server from taking another one's place.
type FollowError struct {
	App       string
	Traceback string // of its import; empty: it ended otherwise, the log says how
}

func (e *FollowError) Error() string {
	text := "app " + e.App + " cannot serve in the new program"
	if e.Traceback != "" {
		text += ":\n" + e.Traceback
	}
	return text
}

// Hint says what to do.
func (e *FollowError) Hint() string {
	return "the old one serves on; mend the app, then upgrade again"
}

// follow takes the workers of the server before this one over, and waits until
// each app serves. If it comes to that, served is true; else the apps have
// ended, and there is an error unless it was told to stop.
func (s *Server) follow(ctx context.Context, n *fresh) (served bool, err error) {
	if err := s.keeper.Take(); err != nil {
		return false, err
	}
	for _, r := range n.apps {
		s.start(r)
	}
	for _, name := range slices.Sorted(maps.Keys(n.apps)) {
		failure, err := s.await(ctx, n.apps[name])
		if err == nil && failure == "" {
			continue
		}
		s.stopApps(n.apps)
		if err != nil && (ctx.Err() != nil || s.isStopping()) {
			return false, nil
		}
		return false, &FollowError{name, failure}
	}
	return true, nil
}
