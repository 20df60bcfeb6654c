package testkit

// Waiting: polls that have a deadline.

import (
	"errors"
	"testing"
	"time"
)

// Limit is how long anything may take that is waited for.
const Limit = time.Minute

// Why Poll has stopped before its condition held.
var (
	ErrEnded = errors.New("it has ended")
	ErrLate  = errors.New("it is late")
)

// Pause is the beat of a poll that has a deadline.
func Pause() { <-time.After(5 * time.Millisecond) }

// Poll waits until a condition holds. It returns ErrEnded if ended is closed
// before, and ErrLate when the time is over. Without an end ended is nil.
func Poll(limit time.Duration, ended <-chan struct{}, condition func() bool) error {
	deadline := time.Now().Add(limit)
	for !condition() {
		select {
		case <-ended:
			if condition() { // at the last moment
				return nil
			}
			return ErrEnded
		default:
		}
		if time.Now().After(deadline) {
			return ErrLate
		}
		Pause()
	}
	return nil
}

// Eventually fails the test unless a condition holds within Limit.
func Eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	if Poll(Limit, nil, condition) != nil {
		t.Fatalf("not within %v: %s", Limit, what)
	}
}
