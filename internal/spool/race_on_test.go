//go:build race

package spool

// Under the race detector sync.Pool forgets things at random.
const allocsAllowed = 10
