package server

import (
	"os"
	"testing"

	"millrace/internal/supervise"
)

// TestMain makes this program one that CGI programs can be started through.
func TestMain(m *testing.M) {
	supervise.Launch()
	os.Exit(m.Run())
}
