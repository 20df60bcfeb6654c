package peers

import (
	"context"
	"testing"
	"time"
)

// checker is a client that asks its back end how it is, as `health` does.
type checker interface {
	Check(ctx context.Context) error
}

// healthy says that a back end answers the question of its protocol.
func healthy(t *testing.T, what string, c checker) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := c.Check(ctx); err != nil {
		t.Errorf("%s: %v", what, err)
	}
}
