package gateway

import (
	"context"
	"testing"
)

// watched counts what is asked of it.
type watched struct {
	context.Context
	funcs, channels int
}

func (w *watched) AfterFunc(func()) func() bool {
	w.funcs++
	return func() bool { return true }
}

func (w *watched) Done() <-chan struct{} {
	w.channels++
	return w.Context.Done()
}

func TestWithValue(t *testing.T) {
	type key int
	w := &watched{Context: context.Background()}
	ctx := WithValue(WithValue(w, key(1), "one"), key(2), "two")
	if ctx.Value(key(1)) != "one" || ctx.Value(key(2)) != "two" || ctx.Value(key(3)) != nil {
		t.Error("a value is missing, or one too many")
	}
	if !AfterFunc(ctx, func() {})() || w.funcs != 1 || w.channels != 0 {
		t.Errorf("%d funcs and %d channels, want a func alone", w.funcs, w.channels)
	}
}

// TestWithValueOfAny: contexts of package context are as they are there.
func TestWithValueOfAny(t *testing.T) {
	type key struct{}
	parent, cancel := context.WithCancel(context.Background())
	ctx := WithValue(parent, key{}, 1)
	called := make(chan struct{})
	AfterFunc(ctx, func() { close(called) })
	stopped := AfterFunc(ctx, func() { t.Error("a func that was stopped is called") })
	if ctx.Value(key{}) != 1 || !stopped() {
		t.Error("no value, or a func that cannot be stopped")
	}
	cancel()
	<-called
}
