// Package respond answers in the place of an app: redirects, fixed responses
// and pages of errors; and it changes the headers of what others answer. Each
// is one http.Handler, or a wrapper of one.
//
// What a client has sent reaches a response only by way of a placeholder, and
// is encoded for its place there: no value ends a header's line, and none makes
// a redirect lead to another host.
package respond
