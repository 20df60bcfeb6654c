package main

import (
	"slices"
	"testing"
)

func TestFrontEnviron(t *testing.T) {
	for _, c := range []struct {
		name     string
		has, get []string
	}{
		{"nothing of the apps'", []string{"SECRET_KEY=x", "PATH=/bin", "LC_ALL=C", "DJANGO_SETTINGS_MODULE=a"}, []string{"PATH=/bin", "LC_ALL=C", "GODEBUG=gcshrinkstackoff=1"}},
		{"whoever debugs has the last word", []string{"GODEBUG=gcshrinkstackoff=0,gctrace=1"}, []string{"GODEBUG=gcshrinkstackoff=1,gcshrinkstackoff=0,gctrace=1"}},
		{"an empty one", []string{"GODEBUG="}, []string{"GODEBUG=gcshrinkstackoff=1"}},
	} {
		if got := frontEnviron(c.has); !slices.Equal(got, c.get) {
			t.Errorf("%s: %q, want %q", c.name, got, c.get)
		}
	}
}
