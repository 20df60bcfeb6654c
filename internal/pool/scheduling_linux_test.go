package pool

import (
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"millrace/internal/supervise"
)

// TestScheduling: what runs requests is of SCHED_BATCH, its host of the policy
// that it was started with, and who has chosen another one keeps it.
func TestScheduling(t *testing.T) {
	if attr, err := unix.SchedGetAttr(0, 0); err != nil || attr.Policy != unix.SCHED_NORMAL {
		t.Skipf("the tests have a policy of their own, which stays: %v, %v", attr, err)
	}
	for _, c := range []struct {
		name, chosen, want string
		threads            int
	}{
		{"processes", "", "SCHED_BATCH SCHED_OTHER", 0},
		{"threads", "", "SCHED_BATCH SCHED_OTHER", 2},
		{"chosen", "SCHED_IDLE", "SCHED_IDLE SCHED_IDLE", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			cfg := testConfig(t, "scheduled:application")
			env := append(slices.Clone(cfg.Host.Env), "MILLRACE_TEST_POLICY="+c.chosen)
			cfg.Host = HostCommand("test", cfg.Python, cfg.Dir, env, supervise.Rights{})
			cfg.Threads = c.threads
			_, server := startPool(t, cfg)
			if code, body := get(t, server.URL); code != 200 || body != c.want {
				t.Errorf("%d %q, want %q", code, body, c.want)
			}
		})
	}
}
