//go:build unix

package daemontools

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	// bootPath is where svscanboot has programs looked for: nothing of who
	// started it goes on.
	bootPath = "PATH=/command:/usr/local/bin:/usr/local/sbin:/bin:/sbin:/usr/bin:/usr/sbin:/usr/X11R6/bin"

	// bootDots is how much of what went wrong readproctitle shows.
	bootDots = 400
)

// bootFolders are where the services are: Debian's folder, and the original's.
func bootFolders() []string { return []string{"/etc/service", "/service"} }

// svscanboot starts svscan from nothing, with readproctitle for what it says.
// Beyond the original it takes the folder as an argument.
func svscanboot(args []string, _ io.Reader, _, _ io.Writer) int {
	dir := ""
	for _, candidate := range append(args[1:], bootFolders()...) {
		if info, err := os.Stat(candidate); err == nil && info.IsDir() || len(args) > 1 {
			dir = candidate
			break
		}
	}
	if dir == "" {
		dir = bootFolders()[0]
	}
	null, err := unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return exitFault
	}
	binary, err := os.Executable()
	if err != nil {
		return exitFault
	}
	// Whatever a svscan before left running is ended, as the original does.
	boot := func(name string, files []uintptr, args ...string) (int, error) {
		return syscall.ForkExec(binary, append([]string{name}, args...), &syscall.ProcAttr{Env: []string{bootPath}, Files: files})
	}
	nowhere := uintptr(null)
	services, _ := filepath.Glob(filepath.Join(dir, "*"))    // a pattern of ours
	logs, _ := filepath.Glob(filepath.Join(dir, "*", "log")) // too
	if pid, err := boot("svc", []uintptr{nowhere, nowhere, nowhere}, append(append([]string{"-dx"}, services...), logs...)...); err == nil {
		_, _ = syscall.Wait4(pid, nil, 0, nil) // it has no status that says anything
	}
	read, write, err := pipe()
	if err != nil {
		return exitFault
	}
	if _, err := boot("readproctitle", []uintptr{uintptr(read), nowhere, nowhere}, "service", "errors:", strings.Repeat(".", bootDots)); err != nil {
		return exitFault
	}
	for fd, from := range []int{null, write, write} {
		if err := unix.Dup2(from, fd); err != nil {
			return exitFault
		}
	}
	_ = execute(binary, []string{"svscan", dir}, []string{bootPath})
	return exitFault
}
