package server

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"millrace/internal/config"
	"millrace/internal/static"
)

// fileCache makes the cache of all trees of files of a tree of handlers. It is
// not kept across a reload: what it holds belongs to folders that the tree has
// open, and comes again with the first requests.
func fileCache(c *config.FileCache) *static.Cache {
	return static.NewCache(static.CacheOptions{
		Files: zeroIsNone(c.Files), Bytes: zeroIsNone(int64(c.Size)), Descriptors: zeroIsNone(c.Descriptors), Check: c.Check,
	})
}

// zeroIsNone is a bound as package static has it, where 0 is the default.
func zeroIsNone[N int | int64](n N) N {
	if n == 0 {
		return -1
	}
	return n
}

// files is the cache of the tree's files.
func (b *builder) files() *static.Cache {
	if b.tree.fileCache == nil {
		b.tree.fileCache = fileCache(&b.plan.Config.Server.FileCache)
	}
	return b.tree.fileCache
}

// filesHandler is a handler of files: of some roots, or of each request's.
type filesHandler interface {
	http.Handler
	io.Closer
}

// answerFiles serves the files of a route, or of a site's root.
func (b *builder) answerFiles(at *place) (http.Handler, error) {
	f := at.route.Files
	o := static.Options{
		Roots: f.Root, Strip: f.Strip, Index: f.Index, FollowSymlinks: at.site.FollowSymlinks, Types: at.types,
		Precompressed: f.Precompressed, CacheControl: f.CacheControl,
	}
	if f.Types != nil {
		o.Types = static.TableOf(f.Types)
	}
	if f.FollowSymlinks != nil {
		o.FollowSymlinks = *f.FollowSymlinks
	}
	if f.Expires > 0 {
		o.CacheControl = "max-age=" + strconv.FormatInt(int64(f.Expires/time.Second), 10)
	}
	switch f.Immutable {
	case "", "false":
	case "true":
		o.Immutable = static.HashedName
	default:
		re, err := regexp.Compile(string(f.Immutable))
		if err != nil {
			return nil, fmt.Errorf("immutable = %q in files of %s: %w", f.Immutable, at.name, err)
		}
		o.Immutable = re.MatchString
	}
	if l := f.Listing; l != nil && !l.Off {
		o.Listing = listingOf(l)
	}
	o.Cache, o.Log = b.files(), b.log
	if strings.Contains(strings.Join(f.Root, ""), "{") {
		return b.filesEach(at, o)
	}
	h, err := static.New(o)
	return b.keepFiles(o, h, err)
}

// listingOf is how folders are listed; config has seen that hide is a regexp.
func listingOf(l *config.Listing) *static.Listing {
	of := &static.Listing{Sort: l.Sort, Page: l.Page, Max: l.Max}
	if l.Hide != "" {
		of.Hide = regexp.MustCompile(l.Hide).MatchString
	}
	return of
}

// keepFiles notes what is to be closed with the tree.
func (b *builder) keepFiles(o static.Options, h filesHandler, err error) (http.Handler, error) {
	if err != nil {
		return nil, &Error{Problem: "cannot serve files of " + strings.Join(o.Roots, ", "), Err: err, Fix: "check the folder and its rights"}
	}
	b.tree.files = append(b.tree.files, h)
	return h, nil
}
