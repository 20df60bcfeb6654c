package config

// TLS to back ends.

import (
	"crypto/x509"
	"fmt"
	"net/netip"
	"strings"
)

// UpstreamTLS is how TLS is spoken to back ends.
type UpstreamTLS struct {
	CA          Strings // ca: files of roots in PEM that the certificates of servers are of; empty: the system's
	Name        string  // name: that those have; empty: each server's of its address
	Verify      bool    // verify: whether they are looked at; default true
	Certificate string  // certificate: file of our own in PEM, for servers that ask for one; empty: none
	Key         string  // key: file of its key; empty: it is in Certificate
}

var upstreamTLSSection = &section{
	title:   "tls of %s",
	example: "[upstream.NAME]",
	doc:     "How TLS is spoken to the servers, for `https` and `h2`; without it: with the defaults (docs/http-back-ends.md).",
	keys: []key{
		{name: "ca", field: "CA", form: formPEM, doc: "Files of root certificates in PEM that those of the servers are to be of; without it: the system's. They are read at the start, and when a key of the group changes."},
		{name: "name", field: "Name", form: formServerName, doc: "The name that the certificates of the servers are to have, and that they are told (SNI); without it: that of each server's address."},
		{name: "verify", field: "Verify", form: formBool, def: "true", doc: "Whether certificates are looked at. With `false` whoever is on the way to the servers can pass for them."},
		{name: "certificate", field: "Certificate", form: formPEMFile, doc: "File of a certificate in PEM, with its chain, for servers that want to know who asks. One that changes is read anew by itself."},
		{name: "key", field: "Key", form: formPEMFile, doc: "File of its private key; without it: that of `certificate`."},
	},
}

var (
	formPEMFile         = form{takes: "the path of a file in PEM", check: checkPEM}
	formServerName      = form{takes: `the name of a host, or an IP address`, check: checkServerName}
	formBackendProtocol = form{takes: `"fastcgi", "scgi", "uwsgi", "ajp", "http", "https", "h2" or "h2c"`, check: checkBackendProtocol}
)

// BackendProtocols are what back ends may speak that we did not start.
func BackendProtocols() []string { return append(Protocols(), "https", "h2", "h2c") }

func checkBackendProtocol(_, text string) (string, *refusal) {
	if text == "http2" {
		return "", &refusal{"is not a protocol", `write "h2", or "h2c" where it is spoken without TLS`}
	}
	return checkAmong(text, BackendProtocols())
}

func checkServerName(_, text string) (string, *refusal) {
	if _, err := netip.ParseAddr(text); err == nil {
		return text, nil
	}
	if text == "" || len(text) > 253 || strings.Trim(strings.ToLower(text), "abcdefghijklmnopqrstuvwxyz0123456789-._") != "" {
		return "", &refusal{"is not the name of a host", "write it without a scheme, a port or a path"}
	}
	return text, nil
}

// SpeaksHTTP reports whether the back ends speak a kind of HTTP, which has no
// parameters.
func (u *Upstream) SpeaksHTTP() bool {
	switch u.Protocol {
	case "http", "https", "h2", "h2c":
		return true
	}
	return false
}

// SpeaksTLS reports whether they are talked to over TLS.
func (u *Upstream) SpeaksTLS() bool { return u.Protocol == "https" || u.Protocol == "h2" }

// upstreamTLS checks how TLS is spoken to a group.
func (k *checker) upstreamTLS(path, where string, u *Upstream) {
	at, t := join(path, "tls"), u.TLS
	if k.bad[at] || k.bad[join(path, "protocol")] || u.Protocol == "" {
		return
	}
	if t != nil && !u.SpeaksTLS() {
		k.fail(at, fmt.Sprintf("tls in %s: %s is spoken without", where, u.Protocol), `write protocol = "https" or "h2", or leave tls out`)
		return
	}
	if !u.SpeaksTLS() {
		return
	}
	if t == nil {
		t = &UpstreamTLS{Verify: true}
	}
	label := upstreamTLSSection.label(where)
	for i, s := range u.Servers {
		if t.Verify && t.Name == "" && strings.HasPrefix(s.Address, "unix:") && !k.bad[join(at, "name")] {
			k.fail(k.elementOf(join(path, "servers"), i), fmt.Sprintf("servers in %s: %s has no name that its certificate could have", where, quote(s.Address)), `add tls = { name = "NAME" }`)
		}
	}
	if !t.Verify {
		k.warn(join(at, "verify"), fmt.Sprintf("verify = false in %s: whoever is on the way to the servers can pass for them", label), `name their root instead: ca = "FILE"`)
		if len(t.CA) > 0 && !k.bad[join(at, "ca")] {
			k.fail(join(at, "ca"), fmt.Sprintf("ca in %s: verify = false says that no certificate is looked at", label), "leave one of the two out")
		}
	}
	k.upstreamRoots(at, label, t)
	k.upstreamPair(at, label, t)
}

func (k *checker) upstreamRoots(at, label string, t *UpstreamTLS) {
	if k.bad[join(at, "ca")] {
		return
	}
	for i, file := range t.CA {
		text, err := readPEM(file)
		var why *refusal
		if err != nil {
			why = &refusal{"cannot read it: " + cause(err), "check the rights of the file"}
		} else if why = lacks(text, "CERTIFICATE"); why == nil && !x509.NewCertPool().AppendCertsFromPEM(text) {
			why = &refusal{"no certificate in it can be read", "it takes certificates in PEM"}
		}
		if why != nil {
			k.refuse(spot{path: k.elementOf(join(at, "ca"), i), name: "ca", where: label, form: &form{}}, quote(file), why)
		}
	}
}

func (k *checker) upstreamPair(at, label string, t *UpstreamTLS) {
	switch {
	case k.bad[join(at, "certificate")] || k.bad[join(at, "key")]:
		return
	case t.Certificate == "" && t.Key != "":
		k.fail(join(at, "key"), fmt.Sprintf("key in %s: there is no certificate that it could be of", label), `add certificate = "FILE"`)
		return
	case t.Certificate == "":
		return
	}
	if _, which, why := loadPair(t.Certificate, t.KeyFile()); why != nil {
		file := t.Certificate
		if which == "key" {
			file = t.KeyFile()
		}
		if which == "key" && t.Key == "" {
			which = "certificate"
		}
		k.refuse(spot{path: join(at, which), name: which, where: label, form: &form{}}, quote(file), why)
	}
}

// KeyFile is the file of the key of Certificate.
func (t *UpstreamTLS) KeyFile() string {
	if t.Key == "" {
		return t.Certificate
	}
	return t.Key
}
