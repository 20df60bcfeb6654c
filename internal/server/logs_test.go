package server

import (
	"io"
	"os"
	"reflect"
	"strings"
	"testing"
)

// TestSlowLog: the file of slow_log is opened with the rest, opened anew when
// it was moved away, one for all that name it, and closed when nobody does.
func TestSlowLog(t *testing.T) {
	dir := wholeSite(t)
	before := descriptors(t)
	slow := whole + "slow_request = \"1s\"\nslow_log = \"{dir}/slow.log\"\n"
	apps := newFakeApps()
	s := launch(t, parse(t, dir, slow), apps)
	log := func() io.Writer {
		f := apps.get("main")
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.cfg.SlowLog
	}
	entry := func(text string) {
		t.Helper()
		if _, err := io.WriteString(log(), text); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
	entry("one\n")
	if err := os.Rename(dir+"/slow.log", dir+"/slow.log.1"); err != nil {
		t.Fatal(err)
	}
	if err := s.ReopenLogs(); err != nil {
		t.Fatal(err)
	}
	entry("two\n")
	was := log()
	s.next = parse(t, dir, strings.Replace(slow, "one:app", "two:app", 1))
	if _, err := s.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(log(), was) {
		t.Error("a reload that keeps slow_log has another one")
	}
	entry("three\n")
	s.next = parse(t, dir, whole)
	if _, err := s.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if log() != nil {
		t.Errorf("without slow_log: %v", log())
	}
	eventually(t, "the slow log is closed", func() bool {
		_, err := io.WriteString(was, "late\n")
		return err != nil
	})
	s.Stop()
	<-s.ended
	for name, want := range map[string]string{"slow.log.1": "one\n", "slow.log": "two\nthree\n"} {
		b, err := os.ReadFile(dir + "/" + name)
		if got, _, _ := strings.Cut(string(b), "late\n"); err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", name, b, err, want)
		}
	}
	wantDescriptors(t, before)
}
