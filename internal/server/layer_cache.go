package server

// The cache of responses (package cache). One holds those of all routes, and
// outlives reloads; a route's rules are made here.

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"time"

	"millrace/internal/accesslog"
	"millrace/internal/admin"
	"millrace/internal/cache"
	"millrace/internal/config"
	"millrace/internal/encode"
	"millrace/internal/placeholder"
	"millrace/internal/requestid"
)

// caches says whether a route has a cache.
func caches(r *config.Route) bool { return r.Cache != nil && !r.Cache.Off }

// configureCache has the cache bounded as the plan has it, once that serves. Without a route that has
// one, it is left as it is.
func (b *builder) configureCache() error {
	for i := range b.plan.Config.Sites {
		b.tree.caches = b.tree.caches || slices.ContainsFunc(b.plan.Config.Sites[i].Routes, func(r config.Route) bool { return caches(&r) })
	}
	if !b.tree.caches {
		return nil
	}
	c := &b.plan.Config.Server.Cache
	apply, err := b.server.cache.Prepare(cache.Config{
		Memory: int64(c.Memory), MemoryEntry: int64(c.MemoryEntry), Folder: c.Folder, Disk: int64(c.Disk), MaxEntry: int64(c.MaxEntry),
	})
	b.tree.bounds = append(b.tree.bounds, apply)
	if err != nil {
		return &Error{Problem: err.Error(), Fix: "the folder under [server.cache] must be one that the user whom millrace serves as can write to"}
	}
	return nil
}

// layerCache answers from what is stored. Where a route has no cache, but
// another one has, its requests that change something remove what is stored.
func layerCache(b *builder, at *place, next http.Handler) (http.Handler, error) {
	r := at.route
	if !caches(r) {
		if !b.tree.caches || r.App == "" && r.Upstream == "" && r.CGI == nil && r.UserDirs == nil {
			return next, nil
		}
		return b.server.cache.Invalidating(next), nil
	}
	c := r.Cache
	rules := cache.Rules{
		Space:     cacheSpace(at),
		Heuristic: c.Heuristic, WhileRevalidate: c.WhileRevalidate, IfError: c.IfError,
		Cookies: c.PrivateCookies, IgnoreClient: c.IgnoreClient, Separate: c.Separate, Wait: c.Wait, NoStatus: c.Quiet,
		Told: told(r), Enter: b.tree.enter, Leave: b.tree.leave, Detach: placeholder.Anew, OfEntry: ofEntry, Known: known,
		Ignore: cache.Ignore{
			CacheControl: slices.Contains(c.Ignore, "cache-control"), Expires: slices.Contains(c.Ignore, "expires"),
			AccelExpires: slices.Contains(c.Ignore, "x-accel-expires"), SetCookie: slices.Contains(c.Ignore, "set-cookie"),
			Vary: slices.Contains(c.Ignore, "vary"),
		},
	}
	if r.Auth != nil { // who said whose the request is may have looked at any part of it
		rules.Known = func(r *http.Request) bool {
			found := placeholder.FoundOf(r)
			return known(r) || found != nil && len(found.Auth) > 0
		}
	}
	if len(c.TTL) > 0 {
		rules.TTL = map[int]time.Duration{}
		for status, d := range c.TTL {
			n, err := strconv.Atoi(status)
			if err != nil {
				n = cache.AnyStatus
			}
			rules.TTL[n] = time.Duration(config.Duration(d))
		}
	}
	if c.Key != "" {
		t, err := at.text("key", c.Key)
		if err != nil {
			return nil, err
		}
		rules.Key = t.Append
	}
	if len(c.Bypass) > 0 {
		texts := make([]*placeholder.Text, len(c.Bypass))
		for i, text := range c.Bypass {
			var err error
			if texts[i], err = at.text("bypass", text); err != nil {
				return nil, err
			}
		}
		rules.Bypass = func(r *http.Request) bool { return anyText(texts, r) }
	}
	if app, upstream := r.App, r.Upstream; b.logs[at.site.AccessLog] != nil && tellsWho(at.site.LogFormat) {
		rules.Forward = func(w http.ResponseWriter, _ *http.Request) { accesslog.Answered(w, app, upstream) }
	}
	return b.server.cache.Wrap(next, rules), nil
}

// told says what apps are told in the headers of a route's requests: some the
// layers behind the cache say, whatever the client has sent.
func told(r *config.Route) func(name string) cache.Told {
	names := map[string]cache.Told{
		"X-Forwarded-For": cache.ByOther, "X-Real-Ip": cache.ByOther, requestid.Header: cache.ByOther,
		"X-Forwarded-Prefix": cache.InKey,
	}
	inKey := func(placeholders ...string) cache.Told {
		for _, p := range placeholders {
			if key := r.Cache.Key; key != "" && !strings.Contains(key, p) {
				return cache.ByOther
			}
		}
		return cache.InKey
	}
	host, scheme := "{host}", "{scheme}"
	names["Host"], names["X-Forwarded-Host"] = inKey(host), inKey(host)
	names["X-Forwarded-Proto"], names["X-Forwarded-Port"] = inKey(scheme), inKey(host, scheme, "{port}")
	if c := r.RequestHeaders; c != nil {
		for _, name := range c.Remove {
			names[textproto.CanonicalMIMEHeaderKey(name)] = cache.InKey
		}
		for name := range c.Add {
			names[textproto.CanonicalMIMEHeaderKey(name)] = cache.ByOther
		}
		for name, text := range c.Set {
			names[textproto.CanonicalMIMEHeaderKey(name)] = cache.ByOther
			if !strings.Contains(text, "{") {
				names[textproto.CanonicalMIMEHeaderKey(name)] = cache.InKey
			}
		}
	}
	return func(name string) cache.Told { return names[name] }
}

// anyText says whether a text is neither empty nor "0" for a request.
func anyText(texts []*placeholder.Text, r *http.Request) bool {
	var room [64]byte
	for _, t := range texts {
		if got := t.Append(room[:0], r); len(got) > 0 && string(got) != "0" {
			return true
		}
	}
	return false
}

// cacheSpace tells what answers in one route from what answers in another: who
// does, for which requests, with which parameters. As long as these stay, what
// is stored is used again.
func cacheSpace(at *place) string {
	r := at.route
	text, err := json.Marshal([]any{at.site.Hosts, r.Match(), r.Any, r.App, r.Upstream, r.CGI, r.Script, r.Mount, r.Params, r.Rewrite, r.XSendfile, r.Filter, r.RequestHeaders, r.Internal})
	if err != nil { // of what TOML can hold, there is none
		text = fmt.Appendf(nil, "%+v", r)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

// known says whether a client has proved who he is to what stands before the
// cache, or by a certificate.
func known(r *http.Request) bool {
	if found := placeholder.FoundOf(r); found != nil && found.User != "" {
		return true
	}
	return r.TLS != nil && len(r.TLS.PeerCertificates) > 0
}

// ofEntry has a stored body compressed once, as a file is.
func ofEntry(w http.ResponseWriter, serial uint64, size int64) {
	encode.OfFile(w, encode.FileID{Device: ^uint64(0), Inode: serial, Size: size})
}

// Purge removes cached responses; see admin.Backend.
func (s *Server) Purge(p admin.Purge) (int, error) {
	s.mu.Lock()
	tree := s.tree
	s.mu.Unlock()
	if tree == nil || !tree.caches {
		return 0, &Error{Problem: "there is no cache", Fix: "give a route cache = true"}
	}
	n := s.cache.Purge(cache.What{URLs: p.URLs, Prefixes: p.Prefixes, Tags: p.Tags, All: p.All, Stale: p.Stale})
	s.log.Info("purged the cache", "responses", n)
	return n, nil
}
