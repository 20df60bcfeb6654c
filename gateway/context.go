package gateway

// Contexts that are watched without a channel and without a goroutine.

import "context"

// afterFuncer is a context that calls f when it ends, as package context looks
// for. The requests of a server may have one that makes no channel before Done
// is called.
type afterFuncer interface {
	AfterFunc(f func()) (stop func() bool)
}

// AfterFunc is context.AfterFunc; a context with a method AfterFunc of its own
// is asked directly, since package context would have it make a channel first.
func AfterFunc(ctx context.Context, f func()) (stop func() bool) {
	if a, ok := ctx.(afterFuncer); ok {
		return a.AfterFunc(f)
	}
	return context.AfterFunc(ctx, f)
}

// WithValue is context.WithValue, whose contexts hide their parent's method
// AfterFunc: each that is watched would cost a goroutine. Those of WithValue
// have it if the parent has.
func WithValue(parent context.Context, key, value any) context.Context {
	if a, ok := parent.(afterFuncer); ok {
		return &valued{parent, a, key, value}
	}
	return context.WithValue(parent, key, value)
}

// valued is a context with a value whose parent is an afterFuncer.
type valued struct {
	context.Context
	after      afterFuncer
	key, value any
}

func (v *valued) Value(key any) any {
	if key == v.key {
		return v.value
	}
	return v.Context.Value(key)
}

func (v *valued) AfterFunc(f func()) (stop func() bool) { return v.after.AfterFunc(f) }
