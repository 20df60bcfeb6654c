// Package cache keeps responses, and answers with them: a shared cache as RFC
// 9111 has it, with RFC 5861 (stale-while-revalidate, stale-if-error), RFC 9211
// (Cache-Status) and RFC 9213 (CDN-Cache-Control).
//
// A Cache holds what is stored, in memory and on disk, for any number of
// Handlers: each is one http.Handler around another, with Rules of its own.
//
// # A request
//
// Handler.ServeHTTP (handler.go) lets by what the cache has nothing to do with
// (bypass.go), finds what is stored for the rest (keep.go, store.go), and either
// answers with it (answer.go, ranges.go), or has it fetched (wait.go). fresh.go
// is what may be stored, and for how long; control.go reads Cache-Control;
// vary.go and key.go say what is for whom.
//
// # A fetch
//
// A flight (flight.go) runs the handler behind the cache in a goroutine of its
// own, with a ResponseWriter (writer.go) that decides, at the head of the
// response, what becomes of it:
//
//   - it may be stored: its bytes go into a body (body.go), from which all who
//     wait read, each as fast as his client takes it;
//   - it is for nobody else: it goes directly to the ResponseWriter of who asked
//     first, with its Flush and its sendfile; the others ask for themselves;
//   - it is a 304, or an error that what is stored hides: that is the answer.
//
// Who asked first may leave: the fetch goes on as long as its response may be
// stored. Requests with credentials begin fetches that nobody joins, unless what
// is stored has said that it is for all.
//
// # On disk
//
// An entry is a file (codec.go, disk.go): the body, so that sendfile takes it from
// the beginning, then a head, then a trailer with lengths and sums. It is written
// under another name and renamed when whole. Small ones are written when all who
// waited have their answer; long ones as they come.
//
// # What it does not do
//
// Parts (206) are not stored, nor answers to other methods than GET. It knows no
// configuration. What the handler behind it says with 1xx is for who asked first,
// and for nobody else.
package cache
