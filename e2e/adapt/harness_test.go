// Package adapt tests that a configuration of nginx, lighttpd or Apache does
// under millrace what it does under the server that it is of.
//
// Each case is a whole configuration in testdata. The real server runs it,
// `millrace serve FILE` does, and so does millrace with what `millrace adapt
// FILE` prints; all three have the same files and the same back ends, and are
// asked the same things (requests_test.go). What they answer must agree
// (compare_test.go), but for what rules_test.go lists, each with its reason.
package adapt

import (
	"os"
	"testing"

	"millrace/internal/testkit"
)

var (
	binary string // millrace, built for this run
	venv   string // with gunicorn
)

func TestMain(m *testing.M) {
	os.Exit(testkit.Main(m, func(k testkit.Kit) error {
		binary, venv = k.Millrace, k.Venv
		return nil
	}))
}
