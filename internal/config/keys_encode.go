package config

// Keys of compression.

// Compress is how responses are compressed.
type Compress struct {
	Off       bool     // compress = false
	Types     []string // types: "text/*", "*+json", "application/json"; empty: text of all kinds
	MinSize   Size     // min_size: a shorter body is left as it is; default 1KiB
	Encodings []string // encodings: offered, the best first; default zstd, br, gzip

	ZstdLevel   int // zstd_level; default 3
	BrotliLevel int // br_level; default 5
	GzipLevel   int // gzip_level; default 5
}

var compressSection = &section{
	title:   "compress of %s",
	example: "[[site]]",
	doc:     "How responses are compressed: those that are not yet, of some types, for clients that take it. `compress = true` has the defaults, and so has a site without the key.",
	keys: []key{
		{name: "types", field: "Types", form: formCompressTypes, doc: "Media types, `text/*` for all of a kind, `*+json` for all with a suffix; without it: text of all kinds, JSON, JavaScript, XML, SVG, WebAssembly and fonts that are not compressed. `text/event-stream` is compressed only if it is named."},
		{name: "min_size", field: "MinSize", form: formSize, def: `"1KiB"`, doc: "A shorter body is left as it is."},
		{name: "encodings", field: "Encodings", form: formEncodings, def: `["zstd", "br", "gzip"]`, doc: "What is offered; of those that a client likes equally, the first is taken."},
		{name: "zstd_level", field: "ZstdLevel", form: formCount, def: "3", doc: "Level of zstd, 1 to 22; more is shorter and slower."},
		{name: "br_level", field: "BrotliLevel", form: formCount, def: "5", doc: "Level of brotli, 1 to 11."},
		{name: "gzip_level", field: "GzipLevel", form: formCount, def: "5", doc: "Level of gzip, 1 to 9."},
	},
}
