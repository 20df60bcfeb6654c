package server

import (
	"net/http"

	"millrace/internal/config"
	"millrace/internal/encode"
)

// layerEncode compresses what a route answers.
func layerEncode(b *builder, at *place, next http.Handler) (http.Handler, error) {
	c := at.route.Compress
	if c == nil {
		c = at.site.Compress
	}
	if c == nil {
		c = &config.Compress{}
	}
	if c.Off || at.route.Status || at.route.Health {
		return next, nil
	}
	return encode.New(b.server.encoders, encode.Options{
		Types: c.Types, MinSize: int(c.MinSize), Codings: c.Encodings,
		GzipLevel: c.GzipLevel, BrotliLevel: c.BrotliLevel, ZstdLevel: c.ZstdLevel,
	}).Wrap(next), nil
}
