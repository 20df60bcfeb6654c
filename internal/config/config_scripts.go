package config

// Files that are programs: scripts of an app, CGI programs, those of users.

import "time"

// Script says how the script that a request is for is found: of an app, or of
// back ends, that runs many.
type Script struct {
	Root           string   // root: folder of the scripts; default: the site's root
	Extensions     []string // extensions: of the files that are scripts; default [".php"]
	Index          string   // index: the script that answers for a folder; default "index.php"; empty: none
	Front          string   // front: the script, below Root, that answers where nothing is; default: none
	Exclude        []string // exclude: paths below Root where nothing is a script: "/uploads/*"
	AppRoot        string   // app_root: Root as the app sees it; default: as it is here
	FollowSymlinks *bool    // follow_symlinks: overrides the site's
}

// CGI is a folder of CGI programs: a process for each request.
type CGI struct {
	Root           string            // root: the folder; required, but for a user's
	Strip          string            // strip: prefix dropped from the path before it is joined with Root
	Extensions     []string          // extensions: of the files that are programs; default: every file is one
	Index          string            // index: the program that answers for a folder; default: none
	Exclude        []string          // exclude: paths below Root where nothing is a program: "/uploads/*"
	Interpreters   map[string]string // interpreters: by extension, programs that are given the file; others are executed themselves
	FollowSymlinks *bool             // follow_symlinks: overrides the site's

	AsOwner bool              // as_owner: each runs as the owner of its file; for a start as root; default false
	MinUID  int               // min_uid: of such an owner; default 1000
	MinGID  int               // min_gid: of his group, and the file's; default 100
	User    string            // user: that they run as, for a start as root; empty: Server.User
	Group   string            // group; empty: that of User
	Env     map[string]string // env: of the programs, beside what CGI has
	Rlimits map[string]string // rlimits: as of an App

	MaxChildren  int           // max_children: processes at most; default 20
	QueueTimeout time.Duration // queue_timeout: of a request that waits for one of them; then 503; default 30s
	Timeout      time.Duration // timeout: without a byte taken or sent; then the end, and 504; default 60s
	MaxTime      time.Duration // max_time: of one run in all; 0, the default: any
	MaxBody      Size          // max_body: then 413; default 1GiB
}

// UserDirs are folders in the homes of users: "/~name/".
type UserDirs struct {
	Folder   string   // folder: in each home; default "public_html"
	Enabled  []string // enabled: users who have one, if it is there; default: all
	Disabled []string // disabled: users who have none
	MinUID   int      // min_uid: of users who have one; default 1000
	Index    []string // index: files that answer for a folder; default ["index.html"]
	Listing  *Listing // listing = true or {...}
	CGI      *CGI     // cgi = {...}: programs in these folders, run as the user
}
