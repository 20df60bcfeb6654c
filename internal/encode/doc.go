// Package encode compresses responses on their way out: with gzip, brotli or
// zstd, as the client's Accept-Encoding has it (RFC 9110, 12.5.3).
//
// A Policy says what is compressed; its Wrap goes around a handler. The
// response that passes is left as it is, at the price of a look at its
// headers, unless all of this holds:
//
//   - its type is among Types, and it carries no Content-Encoding yet;
//   - its status may have a body, and is not 206: ranges are ranges of what
//     was not compressed;
//   - it is MinSize long, or of unknown length;
//   - no Cache-Control: no-transform, and no digest of the body, stands in it;
//   - the client takes one of the codings that are offered, and does not like
//     the identity better.
//
// A response for which all but the last holds gets Vary: Accept-Encoding, for
// everyone. One that is compressed loses its Content-Length, or gets that of
// the compressed body; it loses Accept-Ranges; and a strong ETag becomes
// another one, W/"x-gzip" of "x", since it names other bytes. When a client
// sends that back in If-None-Match or If-Match, the handler sees both, it and
// "x", and its 304 names the first.
//
// # How a body goes
//
// A body is held while it is short and nobody flushes: up to holdMost bytes,
// or to its end. One that ends there is compressed at once, in one of few
// places (as many as there are processors, twice), and leaves with a
// Content-Length. So the client's speed plays no part while an encoder is
// taken, and a short body costs neither chunks nor an encoder of its own.
//
// What is longer, or flushed, is a stream: it has an encoder until its end,
// and each Flush brings out all that was written before it. All encoders of
// streams together may take Options.Memory of an Engine; a stream that finds
// nothing left goes as it is.
//
// A body that is shorter than its Content-Length, or whose handler panics, is
// cut short for the client as well: never ended properly.
//
// # Files
//
// A handler that answers with a whole file says so with OfFile, before it
// writes the head. The compressed body is then kept by the Engine, under the
// file's identity (device, inode, size, times) and the coding: the file is
// compressed once, whoever asks, and not even read again. Who asks for the
// same one meanwhile waits for it.
//
// The package knows no configuration, and does not look at the URL.
package encode
