package config

var scriptSection = &section{
	title:   "script of %s",
	example: "[[site.route]]",
	doc:     "Finds the script that a request is for, for an app or back ends that run many: PHP. The route then takes the requests that a script is to answer, and leaves all others to the routes below, as the images beside the scripts to one with `files`. See [PHP](php.md).",
	keys: []key{
		{name: "root", field: "Root", form: formRoot, doc: "Folder of the scripts. The path is joined with it, without the route's `mount`. Without it: the site's `root`."},
		{name: "extensions", field: "Extensions", form: formExtensions, def: `[".php"]`, doc: "Of the files that are scripts, in either case. A path is parted where one ends, at a `/` or at its end; the first file that is there is the script, what follows is PATH_INFO."},
		{name: "index", field: "Index", form: formScriptIndex, def: `"index.php"`, doc: "The script that answers for a folder, if it is there; an empty text: none."},
		{name: "front", field: "Front", form: formScriptFile, doc: "A script below `root` that answers wherever there is neither a script nor a file: the front controller of WordPress, Laravel or Symfony. Without it such a request goes on to the routes below, and a script that is missing is 404."},
		{name: "exclude", field: "Exclude", form: formExclude, doc: "Paths below `root` where nothing is a script, as people upload there; what would be one is 404. Case does not count."},
		{name: "app_root", field: "AppRoot", form: formAppRoot, doc: "`root` as the app sees it, where that is another machine or a container. Of an app with `chroot` it is known."},
		{name: "follow_symlinks", field: "FollowSymlinks", form: formBool, doc: "Overrides the site's."},
	},
}

var cgiSection = &section{
	title:   "cgi of %s",
	example: "[[site.route]]",
	doc:     "A folder of CGI programs, each of which is started for each request that is for it. What is no program goes on to the routes below. See [CGI](cgi.md).",
	keys: []key{
		{name: "root", field: "Root", form: formRoot, doc: "The folder. The whole path is joined with it. Required, but for `user_dirs`, which have theirs."},
		{name: "strip", field: "Strip", form: formPrefix, doc: "Prefix that is dropped from the path before it is joined with `root`; it stays a part of SCRIPT_NAME."},
		{name: "extensions", field: "Extensions", form: formCGIExtensions, doc: "Of the files that are programs, in either case. Without it every file is one. One that must not run, as it is not executable, is 403: its text is never shown."},
		{name: "index", field: "Index", form: formScriptIndex, doc: "The program that answers for a folder, if it is there; without it: none."},
		{name: "exclude", field: "Exclude", form: formExclude, doc: "Paths below `root` where nothing is a program; what would be one is 404. Case does not count."},
		{name: "interpreters", field: "Interpreters", form: formInterpreters, doc: "By extension, programs that are started in place of a file and given its name; it need not be executable then. A file of any other kind is executed itself."},
		{name: "follow_symlinks", field: "FollowSymlinks", form: formBool, doc: "Overrides the site's; not with `as_owner`, for which no symbolic link is followed."},
		{name: "as_owner", field: "AsOwner", form: formBool, def: "false", doc: "Whether each program runs as the owner of its file, if neither that nor its folders can be written by others (suexec's rules, docs/cgi.md); for a start as root."},
		{name: "min_uid", field: "MinUID", form: formCount, def: "1000", doc: "The least number of a user that `as_owner` lets a program run as."},
		{name: "min_gid", field: "MinGID", form: formCount, def: "100", doc: "The least number of the group of such a user, and of the file."},
		{name: "user", field: "User", form: formUser, doc: "User that the programs run as; for a start as root. Without it: that of `[server]`."},
		{name: "group", field: "Group", form: formGroup, doc: "Group that the programs run as; without it: that of `user`."},
		{name: "env", field: "Env", form: formEnv, doc: "Environment of the programs, beside the variables of CGI and PATH."},
		{name: "rlimits", field: "Rlimits", form: formRlimits, doc: "Resource limits of the programs, as of an app."},
		{name: "max_children", field: "MaxChildren", form: formCount, def: "20", doc: "Processes at most."},
		{name: "queue_timeout", field: "QueueTimeout", form: formDuration, def: `"30s"`, doc: "Time that a request may wait for one of them; then 503."},
		{name: "timeout", field: "Timeout", form: formDuration, def: `"60s"`, doc: "Time for which a program may neither take a byte of its input nor send one; then it is ended, with its process group, and the client gets 504."},
		{name: "max_time", field: "MaxTime", form: formDurationZero, def: `"0s"`, doc: "Time for one run in all; \"0s\": any."},
		{name: "max_body", field: "MaxBody", form: formSize, def: `"1GiB"`, doc: "The largest body of a request; beyond it: 413."},
	},
}

var userDirsSection = &section{
	title:   "user_dirs of %s",
	example: "[[site.route]]",
	doc:     "Folders in the homes of this machine's users, for a route with `path = \"/~*\"`: `/~ann/x.html` is `public_html/x.html` in the home of ann. Who has none, and who is no user, is answered alike. See [CGI](cgi.md).",
	keys: []key{
		{name: "folder", field: "Folder", form: formHomeFolder, def: `"public_html"`, doc: "The folder, in each home."},
		{name: "enabled", field: "Enabled", form: formUserNames, doc: "Users who have one; without it: all."},
		{name: "disabled", field: "Disabled", form: formUserNames, doc: "Users who have none."},
		{name: "min_uid", field: "MinUID", form: formCount, def: "1000", doc: "The least number of a user who has one; root never has."},
		{name: "index", field: "Index", form: formIndex, def: `["index.html"]`, doc: "Files that answer for a folder, tried in order; an empty list: none."},
		{name: "listing", field: "Listing", short: true, doc: "List folders that have no index file.", within: listingSection},
		{name: "cgi", field: "CGI", doc: "Programs in these folders; each runs as its user with `as_owner`. `extensions` are required.", within: cgiSection},
	},
}
