package nginx

// Certificates.

import (
	"slices"

	"millrace/internal/adapt/document"
)

// tls writes [site.tls]. Plain are the addresses without TLS.
func (s *site) tls(plain []string, at document.Place) {
	t := s.table.Table("tls", at)
	certificates, keys := s.level.find("ssl_certificate"), s.level.find("ssl_certificate_key")
	own := scope{site: s, level: s.level}
	paths := func(list []*directive) []string {
		var all []string
		for _, d := range list {
			if path, ok := own.fixed(d.args[0], "the file of a certificate"); ok {
				all = append(all, s.a.beside(path))
			}
		}
		return all
	}
	if len(certificates) == 0 {
		if !s.level.on("ssl_reject_handshake", false) {
			s.a.problem(at, `no "ssl_certificate" is defined for the "listen ... ssl" directive`, "write ssl_certificate and ssl_certificate_key")
		}
		return
	}
	if len(keys) != len(certificates) {
		s.a.problem(certificates[0].at, `no "ssl_certificate_key" is defined for certificate `+certificates[0].arg(0), "write one ssl_certificate_key for each ssl_certificate")
		return
	}
	set := func(name string, list []*directive) {
		if all := paths(list); len(all) == 1 {
			t.Set(name, all[0], list[0].at)
		} else if len(all) > 1 {
			t.Set(name, all, list[0].at)
		}
	}
	set("certificate", certificates)
	set("key", keys)
	if d := s.level.last("ssl_protocols"); d != nil {
		switch words := d.words(); {
		case slices.Contains(words, "TLSv1.2"):
			if !slices.Contains(words, "TLSv1.3") {
				t.Comment("ssl_protocols leaves TLS 1.3 out; it is spoken here.")
			}
		case slices.Contains(words, "TLSv1.3"):
			t.Set("min_version", "1.3", d.at)
		default:
			s.a.problem(d.at, "ssl_protocols names only versions that nobody should speak", "write TLSv1.2 TLSv1.3")
		}
	}
	t.Set("http3", false, at)
	if len(plain) > 0 {
		t.Set("plain", plain, at)
		t.Set("redirect", false, at)
	}
	if d := s.level.last("ssl_verify_client"); d != nil && d.arg(0) != "off" {
		ca := s.level.find("ssl_client_certificate")
		switch {
		case len(ca) == 0:
			s.a.problem(d.at, "no ssl_client_certificate for ssl_verify_client", "name the certificates of the clients' authority")
		case d.arg(0) == "optional_no_ca":
			s.a.problem(d.at, "ssl_verify_client optional_no_ca is not carried over: a certificate of an unknown authority is refused", `write "optional"`)
		default:
			set("client_ca", ca)
			if d.arg(0) == "optional" {
				t.Set("client_auth", "optional", d.at)
			}
		}
	}
}
