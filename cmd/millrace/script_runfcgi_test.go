package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// Commands of testscript for what runs in the background by itself, and for
// scripts with a "#!" line:
//
//	daemon NAME FILE        the process whose pid is in FILE is NAME from now on; it ends with the test
//	tell NAME SIGNAL        sends it HUP, INT, TERM or USR1
//	gone NAME               waits until it is gone
//	cwd NAME FOLDER         its working folder is FOLDER
//	executable FILE [TEXT]  puts "#!MILLRACE runfcgi TEXT" in front of FILE and lets it be executed
var runfcgiCommands = map[string]func(*testscript.TestScript, bool, []string){
	"daemon": func(ts *testscript.TestScript, _ bool, args []string) {
		pid, err := strconv.Atoi(strings.TrimSpace(ts.ReadFile(args[1])))
		ts.Check(err)
		ts.Setenv("PID_"+args[0], strconv.Itoa(pid))
		ts.Defer(func() { _ = syscall.Kill(pid, syscall.SIGKILL) }) // it has ended, if the test was good
	},
	"tell": func(ts *testscript.TestScript, _ bool, args []string) {
		sig, ok := map[string]syscall.Signal{"HUP": syscall.SIGHUP, "INT": syscall.SIGINT, "TERM": syscall.SIGTERM, "USR1": syscall.SIGUSR1}[args[1]]
		if !ok {
			ts.Fatalf("unknown signal %s", args[1])
		}
		ts.Check(syscall.Kill(daemonOf(ts, args[0]), sig))
	},
	"gone": func(ts *testscript.TestScript, _ bool, args []string) {
		pid := daemonOf(ts, args[0])
		deadline := time.Now().Add(busy)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for !hasEnded(pid) {
			if time.Now().After(deadline) {
				ts.Fatalf("%s, pid %d, does not go", args[0], pid)
			}
			<-tick.C
		}
	},
	"cwd": func(ts *testscript.TestScript, _ bool, args []string) {
		dir, err := os.Readlink("/proc/" + strconv.Itoa(daemonOf(ts, args[0])) + "/cwd")
		ts.Check(err)
		if dir != args[1] {
			ts.Fatalf("%s works in %s, not in %s", args[0], dir, args[1])
		}
	},
	"executable": func(ts *testscript.TestScript, _ bool, args []string) {
		path := ts.MkAbs(args[0])
		text, err := os.ReadFile(path)
		ts.Check(err)
		var program string
		for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
			if _, err := os.Stat(filepath.Join(dir, "millrace")); err == nil && program == "" {
				program = filepath.Join(dir, "millrace")
			}
		}
		first := strings.TrimRight("#!"+program+" runfcgi "+strings.Join(args[1:], " "), " ")
		ts.Check(os.WriteFile(path, []byte(first+"\n"+string(text)), 0o755))
		ts.Check(os.Chmod(path, 0o755))
	},
}

// hasEnded reports whether a process is gone, or waits to be reaped by whoever
// is the first process here.
func hasEnded(pid int) bool {
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return true
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	_, state, _ := strings.Cut(string(stat), ") ")
	return strings.HasPrefix(state, "Z")
}

func daemonOf(ts *testscript.TestScript, name string) int {
	pid, err := strconv.Atoi(ts.Getenv("PID_" + name))
	ts.Check(err)
	return pid
}
