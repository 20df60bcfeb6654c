package server

// As whom, and within what bounds, the processes of an app run.

import (
	"fmt"
	"maps"
	"os"
	"os/user"
	"slices"
	"strconv"

	"millrace/internal/config"
	"millrace/internal/supervise"
)

// processes are the environment and the rights of an app's processes, looked up
// anew each time. A sealed plan has neither.
func (p *Plan) processes(app string) ([]string, supervise.Rights, error) {
	if p.Digests != nil {
		return nil, supervise.Rights{}, nil
	}
	rights, err := rightsOf(p.Config, app, os.Geteuid() == 0)
	if err != nil {
		return nil, rights, err
	}
	env, err := p.environ(app, rights.User)
	return env, rights, err
}

// rightsOf maps what a configuration says of an app's rights. Users and groups
// are looked up anew each time. privileged says that who starts the processes
// may make them anybody's.
func rightsOf(c *config.Config, name string, privileged bool) (supervise.Rights, error) {
	a, where := c.Apps[name], "[app."+name+"]"
	r := supervise.Rights{Chroot: a.Chroot}
	if a.Chroot != "" && !privileged {
		return r, refusal("chroot", a.Chroot, where, "only root may change the root folder")
	}
	if a.Umask != "" {
		mask, err := strconv.ParseUint(a.Umask, 8, 9)
		if err != nil {
			return r, refusal("umask", a.Umask, where, "it is not an octal mask")
		}
		m := int(mask)
		r.Umask = &m
	}
	var err error
	if r.Limits, err = limitsOf(a.Rlimits, where); err != nil {
		return r, err
	}
	as := identity{user: a.User, userWhere: where, group: a.Group, groupWhere: where}
	if as.user == "" {
		as.user, as.userWhere = c.Server.User, "[server]"
		if as.group == "" {
			as.group, as.groupWhere = c.Server.Group, "[server]"
		}
	}
	r.User, err = as.lookUp(privileged)
	return r, err
}

// limitsOf are resource limits as they are configured.
func limitsOf(rlimits map[string]string, where string) ([]supervise.Limit, error) {
	var all []supervise.Limit
	for _, resource := range slices.Sorted(maps.Keys(rlimits)) {
		value := uint64(supervise.Unlimited)
		if text := rlimits[resource]; text != "unlimited" {
			n, err := strconv.ParseUint(text, 10, 64)
			if err != nil {
				return nil, refusal(resource, text, "rlimits of "+where, "it is not a limit")
			}
			value = n
		}
		all = append(all, supervise.Limit{Resource: resource, Value: value})
	}
	return all, nil
}

// refusal is the error of a value that package config could not refuse.
func refusal(key, value, where, reason string) *Error {
	e := &Error{Problem: fmt.Sprintf("%s = %q in %s: %s", key, value, where, reason)}
	switch key {
	case "user", "group", "chroot":
		e.Fix = "start millrace as root, or leave it out"
	}
	return e
}

// identity is a user and a group as they are configured, and in which tables;
// either may be empty.
type identity struct{ user, userWhere, group, groupWhere string }

// lookUp returns who that is; nil: who we are.
func (as identity) lookUp(privileged bool) (*supervise.User, error) {
	if as.user == "" && as.group == "" {
		return nil, nil
	}
	u := &supervise.User{UID: uint32(os.Getuid()), GID: uint32(os.Getgid())}
	own := as.user == ""
	if !own {
		var err error
		if u, own, err = as.account(); err != nil {
			return nil, err
		}
	} else if entry, err := user.LookupId(strconv.Itoa(os.Getuid())); err == nil {
		u.Name, u.Home = entry.Username, entry.HomeDir
	}
	if as.group != "" {
		gid, err := groupID(as.group)
		if err != nil {
			return nil, as.refuse("group", "there is no such group on this machine", "make it (groupadd), or correct the name")
		}
		if as.user == "" || len(u.Groups) == 0 {
			u.Groups = []uint32{gid}
		}
		u.GID = gid
	}
	switch {
	case privileged:
		return u, nil
	case own && int(u.GID) == os.Getgid():
		return nil, nil
	case own:
		return nil, refusal("group", as.group, as.groupWhere, "only root may start processes of another group than "+strconv.Itoa(os.Getgid())+", its own")
	}
	return nil, refusal("user", as.user, as.userWhere, "only root may start processes as another user, and this is uid "+strconv.Itoa(os.Getuid()))
}

// account looks the user up. own says that it is who we are.
func (as identity) account() (u *supervise.User, own bool, err error) {
	entry, err := user.Lookup(as.user)
	if err != nil {
		entry, err = user.LookupId(as.user)
	}
	if err != nil {
		n, bad := strconv.ParseUint(as.user, 10, 31)
		switch {
		case bad != nil:
			return nil, false, as.refuse("user", "there is no such user on this machine", "make it (useradd), or correct the name")
		case as.group == "":
			return nil, false, as.refuse("user", "no user of this machine has that number, so that its group is not known", "write group as well")
		}
		return &supervise.User{UID: uint32(n)}, int(n) == os.Getuid(), nil
	}
	uid, uidErr := strconv.ParseUint(entry.Uid, 10, 32)
	gid, gidErr := strconv.ParseUint(entry.Gid, 10, 32)
	if uidErr != nil || gidErr != nil {
		return nil, false, as.refuse("user", "this system has no numbers for users", "leave it out")
	}
	u = &supervise.User{UID: uint32(uid), GID: uint32(gid), Name: entry.Username, Home: entry.HomeDir}
	groups, err := entry.GroupIds()
	if err != nil {
		return nil, false, as.refuse("user", "its groups cannot be found: "+err.Error(), "check /etc/group")
	}
	for _, text := range groups {
		if n, err := strconv.ParseUint(text, 10, 32); err == nil {
			u.Groups = append(u.Groups, uint32(n))
		}
	}
	return u, int(uid) == os.Getuid(), nil
}

func (as identity) refuse(key, reason, fix string) error {
	value, where := as.user, as.userWhere
	if key == "group" {
		value, where = as.group, as.groupWhere
	}
	return &Error{Problem: fmt.Sprintf("%s = %q in %s: %s", key, value, where, reason), Fix: fix}
}

func groupID(text string) (uint32, error) {
	if g, err := user.LookupGroup(text); err == nil {
		text = g.Gid
	}
	n, err := strconv.ParseUint(text, 10, 31)
	return uint32(n), err
}

// FrontRights are those of the process that answers requests.
func (p *Plan) FrontRights() (supervise.Rights, error) {
	u, err := p.frontUser(os.Geteuid() == 0)
	return supervise.Rights{User: u}, err
}

// frontUser is as whom it runs; nil: who we are.
func (p *Plan) frontUser(privileged bool) (*supervise.User, error) {
	c := &p.Config.Server
	return identity{user: c.User, userWhere: "[server]", group: c.Group, groupWhere: "[server]"}.lookUp(privileged)
}
