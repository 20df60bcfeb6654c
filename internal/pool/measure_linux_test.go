package pool

import (
	"math"
	"os"
	"slices"
	"strconv"
	"testing"
)

func TestMeasure(t *testing.T) {
	if _, err := os.Stat("/proc/self/smaps_rollup"); err != nil {
		t.Fatal("this kernel does not tell: ", err)
	}
	cfg := testConfig(t, "measured:application")
	cfg.fixed(2)
	p, server := startPool(t, cfg)
	<-p.Ready()
	p.waitServing(t, 2)
	if s := p.waitPIDs(t); s.Memory != nil || s.Workers[0].Process != nil {
		t.Errorf("nobody has asked: %+v", s)
	}
	measured := func() Status {
		t.Helper()
		p.again()
		<-p.Measure()
		return p.Status()
	}
	s := measured()
	m := s.Memory
	if m == nil || m.Processes != 3 || m.PSS <= 0 || m.PSS >= m.RSS || m.SharedShare <= 0.2 || m.SharedShare >= 1 || m.Age < 0 || m.Age > 5 {
		t.Fatalf("three processes that share an import: %+v", m)
	}
	var sum int64
	for _, w := range s.Workers {
		rss, err := residentMemory(w.PID)
		if err != nil || math.Abs(float64(rss-w.Process.RSS)) > 1<<20 {
			t.Errorf("worker %d: %d, /proc says %d, %v", w.PID, w.Process.RSS, rss, err)
		}
		if k := w.Process; k.PSS <= 0 || k.PSS >= k.RSS || k.Shared <= 0 || k.CPU <= 0 || k.CPU > 5 || k.LastCPU != 0 || k.LastGrowth != 0 {
			t.Errorf("worker %d: %+v", w.PID, k)
		}
		sum += w.Process.RSS
	}
	if host, err := residentMemory(s.HostPID); err != nil || math.Abs(float64(sum+host-m.RSS)) > 2<<20 {
		t.Errorf("in all %d; workers %d and host %d", m.RSS, sum, host)
	}
	if p.Measure(); p.Status().Memory.Age > m.Age+5 {
		t.Error("asked too often, and nothing is left")
	}

	// One request burns, then one grows; each is its worker's last.
	worker := func(s Status, pid int) *Process {
		i := slices.IndexFunc(s.Workers, func(w Worker) bool { return w.PID == pid })
		if i < 0 {
			t.Fatalf("no worker %d in %+v", pid, s)
		}
		return s.Workers[i].Process
	}
	one := func(path string) int {
		code, body := get(t, server.URL+path)
		pid, err := strconv.Atoi(body)
		if code != 200 || err != nil {
			t.Fatal(code, body)
		}
		return pid
	}
	pid := one("/burn?0.2")
	if k := worker(measured(), pid); k.LastCPU < 200 || k.LastCPU > 300 || k.CPU < 0.2 {
		t.Errorf("after 200 ms of processor time: %+v", k)
	}
	pid = one("/grow?20971520")
	if k := worker(measured(), pid); k.LastGrowth < 19<<20 || k.LastGrowth > 30<<20 || k.LastCPU > 200 {
		t.Errorf("after 20 MiB: %+v", k)
	}
	if k := worker(measured(), pid); k.LastGrowth < 19<<20 {
		t.Errorf("without another request the last one's growth is gone: %+v", k)
	}
}
