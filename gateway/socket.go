package gateway

import "errors"

// ErrStale is Socket.Ask's for a kept connection that has ended, or on which
// something came that nobody asked for: nothing was sent over it.
var ErrStale = errors.New("the kept connection has ended")
