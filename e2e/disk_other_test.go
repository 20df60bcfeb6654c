//go:build !linux

package e2e

import "testing"

// smallDisk is for Linux.
func smallDisk(*testing.T, string) bool { return false }
