package gateway

import "context"

// User is who the client of a request has proved to be, to the server.
type User struct {
	Name string // becomes REMOTE_USER
	Type string // becomes AUTH_TYPE: "Basic"; "": it was not said
}

type userKey struct{}

// WithUser returns ctx with a user, whom AppendHTTP tells to the app. For a
// request that came over a gateway protocol its front server tells instead.
func WithUser(ctx context.Context, u User) context.Context {
	return WithValue(ctx, userKey{}, &u)
}

// UserOf returns the user of a request's context, nil if nobody has proved to be
// anybody.
func UserOf(ctx context.Context) *User {
	u, _ := ctx.Value(userKey{}).(*User)
	return u
}
