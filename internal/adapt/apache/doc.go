// Package apache makes a millrace.toml of an Apache configuration: of a whole
// apache2.conf or httpd.conf, of one site of sites-available, of a snippet, or of
// a .htaccess.
//
// It goes in three steps.
//
// Reading. lex.go makes logical lines and words of a file as Apache does
// (continued lines, quotes), parse.go a tree of directives with their places, and
// decides what Apache decides while it reads: Include, Define and ${NAME}, IfModule,
// IfDefine, IfVersion. table.go is all directives that are known: where each may
// stand, how many words it takes; what has no meaning here and why; what is not
// carried over and why. Errors are in Apache's words, with the line and column.
// A snippet without LoadModule is taken for one of a server that has every module
// whose directives are carried over, and Apache's defaults around it.
//
// Merging. For a host, mappings.go lists what leads from paths to what answers, in
// the order in which Apache asks for it: the rules of mod_rewrite outside of
// folders, ProxyPass, Redirect, Alias and ScriptAlias, WSGIScriptAlias, UserDir,
// DocumentRoot. areas.go parts each mapping at the folders and locations that have
// a section of their own. What holds in an area is put together by conf.go as
// Apache does: what stands outside of all sections, <Directory> from the outermost
// folder to the innermost with its .htaccess, <DirectoryMatch>, <Files>, and
// <Location> in order; the host's own behind those of the main server. Sections for
// some paths of an area (<FilesMatch>, <LocationMatch>) become routes of their own
// above those of the area (partial.go, names.go): one for each set of them that may be
// for one path. Where the folders are not known (like.go), those that may be for some
// are refused. An index file is asked for what holds for it (indexes.go).
//
// Lowering. answers.go makes the routes of an area: files, scripts.go what handlers
// run, wsgi.go apps, proxy.go back ends; access.go and accessrules.go say who may; rules.go,
// conds.go, expand.go and rewrite.go lower RewriteRule and RewriteCond. A rule that
// ends with [L] outside of folders goes on in a group behind the rules; within a
// folder the request begins anew, as Apache's internal redirect does.
//
// What differs from Apache, in all that is carried over:
//
//   - names that begin with a dot are not served; a folder without an index and
//     without a listing is 404, not 403; listings and pages of errors look otherwise;
//   - what a rule puts into a query is encoded, as with the flag B;
//   - a <Location> holds for paths that a rule without [PT] has made as well: one that
//     would let in whom the folder does not is refused, with the rule;
//   - a variable of SetEnvIf that is not set is there, and empty;
//   - a path with a segment ".." or a control character is 400;
//   - a name with the extension of a script before another one (x.php.bak), which
//     AddHandler runs, is 403, and so is PHP where nothing says who runs it, or that
//     its engine is off;
//   - without Options FollowSymLinks a symbolic link that leads to what is in the same
//     tree is followed all the same;
//   - FastCGI programs among files (AddHandler fcgid-script) are those that are there
//     when the configuration is read.
package apache
