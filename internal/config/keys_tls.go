package config

// The keys of [site.tls].

var tlsSection = &section{
	title: "[site.tls]",
	doc:   "TLS on the addresses of the site: one of `certificate` and `acme`. HTTP/2 and HTTP/1.1 are negotiated; HTTP/3 is offered beside them. docs/tls.md tells more.",
	keys: []key{
		{name: "certificate", field: "Certificate", form: formPEM, doc: "Files of certificates in PEM, each with the chain behind it; several for one name, as RSA beside ECDSA, or for several names: each client gets what fits it. Files that change are read anew by themselves."},
		{name: "key", field: "Key", form: formPEM, doc: "Files of the private keys, in the order of `certificate`; without it they are in the files of the certificates. Root's alone they may be, where millrace is started as root."},
		{name: "acme", field: "ACME", doc: "In place of `certificate`: certificates that are had, and renewed, from an ACME authority as Let's Encrypt.", within: acmeSection},
		{name: "min_version", field: "MinVersion", form: formTLSVersion, def: `"1.2"`, doc: "The oldest version of TLS that is spoken; the same for all sites of an address."},
		{name: "http3", field: "HTTP3", form: formBool, def: "true", doc: "Whether HTTP/3 is spoken, over UDP on the same port, and offered by Alt-Svc; the same for all sites of an address. An address that systemd opened has none."},
		{name: "plain", field: "Plain", form: formPlain, doc: "Addresses at which the site answers without TLS, beside those of `listen`, which all have it."},
		{name: "redirect", field: "Redirect", form: formBool, def: "true", doc: "Whether the `plain` addresses answer with a redirect to https (308), and nothing else."},
		{name: "client_ca", field: "ClientCA", form: formPEM, doc: "Files of root certificates in PEM: clients are asked for a certificate of one of these. `{tls.client.subject}` and its like, and `SSL_CLIENT_S_DN` and its like for apps, tell who it was."},
		{name: "client_auth", field: "ClientAuth", form: formClientAuth, def: `"require"`, doc: "Whether a client must have a certificate of `client_ca`, or only may: `require` or `optional`. One of another root is refused in either case."},
		{name: "hsts", field: "HSTS", form: formDurationZero, def: `"0s"`, doc: "For how long browsers are told to come by https alone (Strict-Transport-Security); \"0s\": they are not told."},
	},
}

var acmeSection = &section{
	title:   "acme of %s",
	example: "[site.tls]",
	doc:     "Certificates from an ACME authority, one for each of the site's `hosts`, whose terms of service whoever writes this agrees to.",
	keys: []key{
		{name: "email", field: "Email", form: formEmail, doc: "Where the authority writes to when something is wrong; best given."},
		{name: "directory", field: "Directory", form: formDirectory, def: `"https://acme-v02.api.letsencrypt.org/directory"`, doc: "The authority's directory."},
		{name: "ca", field: "CA", form: formPEM, doc: "A file of root certificates in PEM by which the authority itself is known, for a private one."},
		{name: "storage", field: "Storage", form: formStorage, def: `"acme"`, doc: "Folder of the account, the certificates and their keys. It must belong to the user of `[server]`; it is made, if that user may."},
		{name: "challenges", field: "Challenges", form: formChallenges, def: `["http-01", "tls-alpn-01"]`, doc: "How the authority may convince itself: `http-01` needs port 80 to lead to an address of `plain`, `tls-alpn-01` port 443 to one of `listen`."},
	},
}
