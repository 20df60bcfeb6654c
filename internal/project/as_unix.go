//go:build unix

package project

import (
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"
)

// runAs has root run a command as a user, who may have written it: with no
// more than that user has, and nothing of root's environment.
func runAs(cmd *exec.Cmd, name, group string) error {
	if os.Geteuid() != 0 || name == "" {
		return nil
	}
	uid, gid, home := name, group, ""
	if u, err := user.Lookup(name); err == nil {
		uid, home = u.Uid, u.HomeDir
		if group == "" {
			gid = u.Gid
		}
	}
	if g, err := user.LookupGroup(group); err == nil {
		gid = g.Gid
	}
	if gid == "" {
		gid = uid
	}
	uidNumber, err := strconv.ParseUint(uid, 10, 32)
	if err != nil {
		return err
	}
	gidNumber, err := strconv.ParseUint(gid, 10, 32)
	if err != nil {
		return err
	}
	cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(uidNumber), Gid: uint32(gidNumber)}
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "LANG=" + os.Getenv("LANG")}
	return nil
}
