package adapt

// This file: what the hosts of access.conf are asked.

import "slices"

func accessRequests() []request {
	var all []request
	add := func(host string, list []request) {
		for _, r := range list {
			r.host, r.kind = host, "access"
			all = append(all, r)
		}
	}
	// Each by other spellings, too.
	spelt := func(targets ...string) []request {
		var list []request
		for _, t := range targets {
			list = append(list, request{target: t}, request{method: "HEAD", target: t}, request{target: "/" + t}, request{target: t + "?x=1"})
			if last := len(t) - 1; t[last] != '/' {
				list = append(list, request{target: t[:last] + "%" + hex(t[last])})
			}
		}
		return list
	}
	add("folders.example.com", spelt("/", "/about.html", "/private/note.txt", "/private/", "/docs/a.txt", "/docs/c.html", "/m/report.pdf", "/m/photos/one.jpg", "/m/photos/", "/m/clips/clip.mp4",
		"/pics/one.jpg", "/all/notes.txt", "/all/clips/clip.mp4", "/all/photos/one.jpg", "/all/clips", "/sub/page.html", "/sub/page.html/x", "/page.html"))
	add("names.example.com", slices.Concat(spelt("/", "/sub/", "/plain.txt", "/plain.txt/", "/data.json", "/docs/a.txt", "/docs/b.txt", "/docs/c.html", "/robots.txt", "/LICENSE"),
		authorized("/", "/index.html", "/sub/index.html", "/sub/")))
	add("methods.example.com", slices.Concat(spelt("/http/x", "/http", "/match/x", "/match/admin/x", "/match/admin", "/docs/a.txt", "/sub/index.html", "/sub/page.html", "/private/note.txt"),
		each(request{method: "POST", body: "a=1"}, "/http/x", "/http"), each(request{method: "DELETE"}, "/http/x", "/match/admin/x"), authorized("/any/x", "/private/note.txt", "/private/index.html")))
	add("scripts.example.com", spelt("/programs/show.cgi", "/programs/show.cgi/a/b", "/programs/show.cgi.bak", "/programs/readme.txt", "/off/show.cgi", "/off/show.cgi.bak", "/off/SHOW.CGI", "/cgi/echo.cgi", "/cgi/echo.cgi/x", "/cgi/shut.cgi", "/cgi/shut.cgi/x"))
	add("rules.example.org", slices.Concat(authorized("/app/x", "/plain.txt", "/sub/", "/sub/index.html", "/about.html", "/notes.bak", "/docs/a.txt", "/docs/b.txt"),
		each(request{header: ali}, "/sub/page.html", "/docs/notes.txt", "/docs/", "/app/", "/index.html~")))
	return all
}
