package config

import "fmt"

// encodes checks what a route says about compression and about files that its
// app has sent.
func (k *checker) encodes(path string, r *Route, answers []string) {
	const where = "[[site.route]]"
	k.compress(join(path, "compress"), compressSection.label(where), r.Compress)
	at := join(path, "x_sendfile")
	if r.XSendfile == nil || k.bad[at] || len(answers) == 0 {
		return
	}
	switch answers[0] {
	case "files", "redirect", "respond", "status", "health":
		k.fail(at, fmt.Sprintf("%s has x_sendfile beside %s, which sends what it has", where, answers[0]), "leave it out: it is for an app that answers with X-Sendfile")
	}
}

// compress holds the levels to what the encodings have.
func (k *checker) compress(path, where string, c *Compress) {
	if c == nil || k.bad[path] {
		return
	}
	for _, level := range []struct {
		key      string
		got, max int
	}{{"zstd_level", c.ZstdLevel, 22}, {"br_level", c.BrotliLevel, 11}, {"gzip_level", c.GzipLevel, 9}} {
		if level.got > level.max && !k.bad[join(path, level.key)] {
			k.fail(join(path, level.key), fmt.Sprintf("%s = %d in %s: there is no such level", level.key, level.got, where), fmt.Sprintf("it takes 1 to %d", level.max))
		}
	}
}
