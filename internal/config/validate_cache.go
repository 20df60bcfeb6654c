package config

import (
	"fmt"
	"slices"
	"strings"
)

// cacheStore checks [server.cache].
func (k *checker) cacheStore() {
	c := &k.c.Server.Cache
	const at, where = "server.cache", "[server.cache]"
	if k.bad[at] {
		return
	}
	if root := k.servedFolder(c.Folder); root != "" && !k.bad[join(at, "folder")] {
		k.fail(join(at, "folder"), fmt.Sprintf("folder = %s in %s is served as files, of the root %s", quote(c.Folder), where, short(root)), "what is cached is not for everybody: name a folder of its own")
	}
	if c.Folder == "" && !k.bad[join(at, "folder")] && k.given(join(at, "disk")) {
		k.fail(join(at, "disk"), "disk in "+where+" has no folder to be in", `add folder = "FOLDER"`)
	}
	if c.Memory == 0 && c.Folder == "" && !k.bad[join(at, "folder")] && !k.bad[join(at, "memory")] {
		for i := range k.c.Sites {
			for j := range k.c.Sites[i].Routes {
				if r := k.c.Sites[i].Routes[j].Cache; r != nil && !r.Off {
					k.fail(join(at, "memory"), `memory = "0B" in `+where+": there is no folder either, and a route has cache", "leave it out, or name a folder")
					return
				}
			}
		}
	}
}

// servedFolder is the root of files that a folder is in; "" for none.
func (k *checker) servedFolder(folder string) string {
	within := func(root string) bool {
		return folder != "" && root != "" && strings.HasPrefix(folder+"/", strings.TrimSuffix(root, "/")+"/")
	}
	for i := range k.c.Sites {
		s := &k.c.Sites[i]
		if within(s.Root) {
			return s.Root
		}
		for j := range s.Routes {
			if f := s.Routes[j].Files; f != nil {
				for _, root := range f.Root {
					if within(root) {
						return root
					}
				}
			}
		}
	}
	return ""
}

// cache checks what a route says of the cache.
func (k *checker) cache(path string, s *Site, r *Route, answers []string) {
	at := join(path, "cache")
	if r.Cache == nil || r.Cache.Off || k.bad[at] || len(answers) == 0 {
		return
	}
	const where = "[[site.route]]"
	switch answers[0] {
	case "files", "redirect", "respond", "status", "health", "user_dirs":
		k.fail(at, fmt.Sprintf("%s has cache beside %s, which is at hand anyway", where, answers[0]), "leave it out: it is for apps and back ends")
		return
	}
	key := r.Cache.Key
	if key != "" && !k.bad[join(at, "key")] && !strings.Contains(key, "{host}") && !strings.Contains(key, "{header.Host}") && len(s.Hosts) != 1 {
		k.warn(join(at, "key"), fmt.Sprintf("key = %s in %s has no {host}, and the site has not one host: one host gets what is cached for another", quote(key), cacheSection.label(where)), `begin it with "{host}"`)
	}
	if key != "" && !k.bad[join(at, "key")] && !strings.Contains(key, "{") {
		k.fail(join(at, "key"), fmt.Sprintf("key = %s in %s is the same for every request: all would get one response", quote(key), cacheSection.label(where)), `write "{scheme}://{host}{uri}", or leave it out`)
	}
	k.cachedSticky(at, r)
}

// cachedSticky warns of a cookie that keeps responses out of the cache.
func (k *checker) cachedSticky(at string, r *Route) {
	u := k.c.Upstreams[r.Upstream]
	if u == nil || u.Sticky == nil || u.Sticky.Cookie == "" || k.bad[join(at, "ignore")] || k.bad[join(at, "private_cookies")] {
		return
	}
	private := slices.ContainsFunc(r.Cache.PrivateCookies, func(name string) bool {
		begin, open := strings.CutSuffix(name, "*")
		return name == u.Sticky.Cookie || open && strings.HasPrefix(u.Sticky.Cookie, begin)
	})
	if private || !slices.Contains(r.Cache.Ignore, "set-cookie") {
		const where = "[[site.route]]"
		k.warn(at, fmt.Sprintf("%s keeps next to nothing: sticky of %s sets a cookie, and what sets one, or is asked for with one, is somebody's own", cacheSection.label(where), upstreamSection.label(r.Upstream)),
			`write cache = { ignore = ["set-cookie"], private_cookies = ["NAME"] } with the names of the app's own cookies`)
	}
}
