package auth

import (
	"errors"
	"strings"
	"testing"
)

const long = "a much longer password than sixty-four bytes, to see how the tails are made: ok"

// Hashes that others have made: htpasswd of Apache 2.4, openssl passwd 3.0 and
// crypt(3) of glibc 2.36.
var made = []struct{ by, password, hash string }{
	{"htpasswd -B", "pass", "$2y$05$xn.yxYIi6MsWZRzp0nrlA.wilWlXYn4Wn9kwWSk7NxVOg0Mk1KIsq"},
	{"htpasswd -B", "pä:ss wörd", "$2y$05$X7Uz5uJ0aDrk8ul0TBzFSekzA1jpYz45smnB25w3ZYyFq6dQdWeNy"},
	{"htpasswd -B", "", "$2y$05$m2LH8xp2b353W6HUUAJ/euFhXr73WieTwtC43bxcF0UUo7bzEAgla"},
	{"htpasswd -B", long, "$2y$05$Ixzf11gFif3I2o5iVNFIbuu8kQjedAg4bYKlk2UX5oOyT0uu6yggu"},
	{"htpasswd -m", "pass", "$apr1$8hMqIklw$j.VDsxjYVU9WYpCukf5Fm1"},
	{"htpasswd -m", long, "$apr1$A6wl3vZm$rJl9jk9Rv9./bsuva11k71"},
	{"htpasswd -m", "pä:ss wörd", "$apr1$rxjLNR8d$3luAsUKBzak7zlf0yuCnY/"},
	{"htpasswd -m", "", "$apr1$Acm0gspW$tIxh77GAYjjHN1F/Oe9r1/"},
	{"htpasswd -s", "pass", "{SHA}nU4eI71bcnBGqeO0t9tXvY1u5oQ="},
	{"htpasswd -s", long, "{SHA}/f61bydif95+Gdb3GjLoAAQv3NA="},
	{"htpasswd -2", "pass", "$5$a5e7.pDoOHHc/ZbO$6MqrffJ48ga41D2o74U5U/4xvF/QYLKQampB7hmdkMD"},
	{"htpasswd -2", long, "$5$gv5bNrbByvFyTu1o$qUpQUW1BVxsnl6iK8R.5OWM7C/rmNSj21FW7BbqJSY7"},
	{"htpasswd -2", "pä:ss wörd", "$5$vglm0t4LbneOLNEh$4eOo2dMHzxQCdYk6Oh5VzeXHs5Rg78n2qhGRgb.husB"},
	{"htpasswd -2", "", "$5$A4i7RBUizz/V4awX$7FmHWNda.8.33JVN0aIwcP/VSpOV90J7et7SI6vaUm1"},
	{"htpasswd -5", "pass", "$6$72trrjnM2ns3nkrm$Ky34YZsricsMH1oNPLWDJ/7sXyCJ3sypftEwCOV4wN5Trmz1xjLs8PUj4csAv5591GBXy2CI9faT9guqUaINK1"},
	{"htpasswd -5", long, "$6$7iaMYDMvsfWQbCOx$Uw8otZAgDb/ilQ8DZlMSq1zVk68Y8mwRU3PfbbEPGGsTKwjyAVRGV23C5zBIj7vWlyBUhWtS5RiJM10nlKteZ0"},
	{"openssl passwd -1", "pass", "$1$NjfH5Wej$YT89Ifp.IzhjFvyNuEKWg0"},
	{"openssl passwd -1", long, "$1$reGnoBtF$jWxDeJyDKWDM.dfeSjra7."},
	{"openssl passwd -apr1", "pass", "$apr1$/U0GXzYY$oB7D0fCzWwkKIxuNTwNH.0"},
	{"openssl passwd -5", "pass", "$5$p6gCxqO3co9u6/ty$hPMzLqqK.rVzXRgulBR0On/HoNohyAZIIdieU3Km7z."},
	{"openssl passwd -6", long, "$6$iskJNtJ727a0Of45$Nx22G2q00EH3xFh3huWwR/eApqqJdieV7hsbTpWPYYaIjW5dOf.FRQstTr0P5k5RoXMY.jsHTM.BwAiuprixK0"},
	{"crypt(3)", "Hello world!", "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5"},
	{"crypt(3)", "Hello world!", "$5$rounds=10000$saltstringsaltst$3xv.VbSHBb41AL9AvLeujZkZRBAwqFMz2.opqey6IcA"},
	{"crypt(3)", "Hello world!", "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1"},
	{"crypt(3)", "Hello world!", "$6$rounds=1400$anotherlongsalts$5FGyu8c4BZDX4wJgs0Un26YOw2XibT5eTkHF1I1aP3QqStoJI9BHD2YPJYsAjEePVGUyBjdZxcNqMWlrrbIOC."},
	{"crypt(3)", "Hello world!", "$5$rounds=10$roundstoolow$BiO0thfsibXRWnVAhxypb/bDS/8S0KICVgPbqzirYmC"}, // it says 1000
	{"crypt(3)", "Hello world!", "$6$$.SKR9BCFmNlzTpsFbxLHKPVAMUdqxN8.85WISsmC.fRIPfZ78cePl/wQJcKzjcsDe8rRtdaVxJHS/E1LzWy3./"},
	{"crypt(3)", "Hello world!", "$1$abcdefgh$fzmjzFdo5nMtBG8gtud5e0"},
	{"crypt(3)", strings.Repeat("x", 200), "$6$rounds=1000$s$2qopGRjighl7WEgWKqKKddB/g9zLJIEPceDYk5JvVKNf4EYmYcTtqAngEiidbnKUfiec5GH1kiw0wwUrBiR9i."},
	{"crypt(3)", strings.Repeat("x", 200), "$5$rounds=1000$s$aSvJPonPDAXlugEtd01ip9DlhSOfYQQGd2O.n5k.XB/"},
	{"crypt(3)", strings.Repeat("x", 100), "$2b$05$abcdefghijklmnopqrstuujf8SX2ahXLwp9w/B.Y5XdysS6yR576q"},
}

func TestHashesOfOthers(t *testing.T) {
	for _, m := range made {
		is, err := parseHash(m.hash)
		if err != nil {
			t.Errorf("%s: %q: %v", m.by, m.hash, err)
			continue
		}
		if !is(m.password) {
			t.Errorf("%s: %q is not the hash of %q", m.by, m.hash, m.password)
		}
		for _, other := range []string{m.password + "x", "x" + m.password, strings.ToUpper("p" + m.password)} {
			if len(m.password) < 72 && is(other) { // bcrypt looks at 72 bytes
				t.Errorf("%s: %q is the hash of %q as well", m.by, m.hash, other)
			}
		}
		at := len(m.hash) - 4 // one digit that differs is another hash
		digit := byte('A')
		if m.hash[at] == digit {
			digit = 'B'
		}
		other := m.hash[:at] + string(digit) + m.hash[at+1:]
		if is, err := parseHash(other); err != nil || is(m.password) {
			t.Errorf("%s: %q is the hash of %q as well, or none: %v", m.by, other, m.password, err)
		}
	}
}

func TestSSHA(t *testing.T) {
	// printf 'passwordsalt' | openssl dgst -sha1 -binary, with the salt behind it
	is, err := parseHash("{SSHA}yI6cZwQadOA1e+/f+T+H3eCQQhRzYWx0")
	if err != nil || !is("password") || is("passwords") {
		t.Errorf("a salted SHA-1 is not compared: %v", err)
	}
}

func TestRefusedHashes(t *testing.T) {
	for _, test := range []struct{ hash, why string }{
		{"", "no hash"},
		{"fmtOHXDS06poU", "DES crypt"}, // htpasswd -d
		{"secret", "plain text"},
		{"{PLAIN}secret", "plain text"},
		{"a plain one", "plain text"},
		{"$2y$17$xn.yxYIi6MsWZRzp0nrlA.wilWlXYn4Wn9kwWSk7NxVOg0Mk1KIsq", "cost 17"},
		{"$2y$03$xn.yxYIi6MsWZRzp0nrlA.wilWlXYn4Wn9kwWSk7NxVOg0Mk1KIsq", "damaged"},
		{"$2x$05$xn.yxYIi6MsWZRzp0nrlA.wilWlXYn4Wn9kwWSk7NxVOg0Mk1KIsq", "damaged"},
		{"$2y$05$xn.yxYIi6MsWZRzp0nrlA.wilWlXYn4Wn9kwWSk7NxVOg0Mk1KIs", "damaged"},
		{"$2y$05$xn.yxYIi6MsWZRzp0nrlA.wilWlXYn4Wn9kwWSk7NxVOg0Mk1KIs!", "damaged"},
		{"$2y$+5$xn.yxYIi6MsWZRzp0nrlA.wilWlXYn4Wn9kwWSk7NxVOg0Mk1KIsq", "damaged"},
		{"$2", "damaged"},
		{"$apr1$8hMqIklw$j.VDsxjYVU9WYpCukf5Fm", "damaged"},
		{"$apr1$8hMqIklw9$j.VDsxjYVU9WYpCukf5Fm1", "damaged"},
		{"$1$NjfH5Wej", "damaged"},
		{"$5$a5e7.pDoOHHc/ZbO$6MqrffJ48ga41D2o74U5U/4xvF/QYLKQampB7hmdkM", "damaged"},
		{"$5$rounds=x$a$6MqrffJ48ga41D2o74U5U/4xvF/QYLKQampB7hmdkMD", "damaged"},
		{"$5$rounds=-1000$a$6MqrffJ48ga41D2o74U5U/4xvF/QYLKQampB7hmdkMD", "damaged"},
		{"$5$rounds=999999999$a$6MqrffJ48ga41D2o74U5U/4xvF/QYLKQampB7hmdkMD", "999999999 rounds"},
		{"$6$", "damaged"},
		{"{SHA}nU4eI71bcnBGqeO0t9tXvY1u5oQ", "damaged"},
		{"{SHA}nU4eI71bcnBGqeO0t9tXvY1u5g==", "damaged"},
		{"{SSHA}nU4e", "damaged"},
		{"{MD5}abc", "no hash of a password that is known"},
		{"$y$j9T$F5Jx5fExrKuPp53xLKQ..1$X3DX6M94c7o.9agCG9G317fhZg9SqC.5i5rd.RhAtQ7", "cannot be read"},
		{"$argon2id$v=19$m=65536,t=2,p=1$abc$def", "cannot be read"},
		{"*", "locked"},
		{"!$6$abc", "locked"},
	} {
		err := CheckHash(test.hash)
		var why *HashError
		if !errors.As(err, &why) || !strings.Contains(why.Reason, test.why) || why.Hint() == "" {
			t.Errorf("%q: %v; want %q and what to do", test.hash, err, test.why)
		}
	}
}
