//go:build race

package accesslog

// Under the race detector sync.Pool forgets things at random.
const allocsAllowed = 10
