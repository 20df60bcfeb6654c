// Package nginx makes a millrace.toml of an nginx configuration: of a whole
// nginx.conf, or of a part that people keep apart (a server of sites-available, a
// file of locations, fastcgi_params), with nginx's defaults around it.
//
// lex.go and parse.go read the file and what it includes, hold each directive to
// where nginx lets it stand and to the number of its parameters (rules.go,
// directives.txt), and complain in nginx's words. What follows is lowering:
//
//   - site.go makes a site of each server, listen.go its addresses and hosts, tls.go
//     its certificates;
//   - dispatch.go turns the rules by which nginx chooses a location (the exact one,
//     else the longest prefix, unless a regular expression matches and ^~ does not
//     forbid it, in nested locations first) into an order in which the first route
//     that matches is the one;
//   - program.go runs the directives of the rewrite module (if, set, return,
//     rewrite, break) over all that may be true of a request, and makes routes of
//     what comes out; conditions.go is what routes can say of it;
//   - content.go and what it calls (files.go, tryfiles.go, proxy.go, fastcgi.go)
//     make what answers, access.go who may, headers.go what is changed in responses;
//   - text.go turns texts with variables into texts with placeholders, pattern.go
//     regular expressions of PCRE into Go's (package pcre), maps.go tables.
//
// A directive is carried over, or written as a comment where it means nothing here
// (dispositions.go says which and why), or it is an error with its place: none is
// dropped in silence.
package nginx
