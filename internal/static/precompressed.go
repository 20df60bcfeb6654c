package static

import (
	"iter"

	"millrace/internal/encode"
)

// sibling is an encoded form of a file that lies beside it.
type sibling struct {
	coding, suffix string
	identity       identity
}

// codings are the siblings that are looked for, the best first.
var codings = [...]sibling{
	{coding: encode.Brotli, suffix: ".br"},
	{coding: encode.Zstd, suffix: ".zst"},
	{coding: encode.Gzip, suffix: ".gz"},
}

// siblings finds the encoded forms of a file, in its own root and by the same
// rules. One that is older than the file was made of another state of it, and
// one that is not smaller is of no use: neither is served.
func (h *Handler) siblings(f *found) iter.Seq[sibling] {
	return func(yield func(sibling) bool) {
		if !h.o.Precompressed {
			return
		}
		for _, s := range codings {
			at, err := find(f.root, f.rel+s.suffix)
			if err != nil || at.root == nil { // one that may not be read is not there, either
				continue
			}
			at.node.close()
			s.identity = at.meta.identity
			if at.meta.mode.IsRegular() && s.identity.mtime >= f.meta.mtime && s.identity.size < f.meta.size && !yield(s) {
				return
			}
		}
	}
}
