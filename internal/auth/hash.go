package auth

// This file: which hash of a password is which, and what each may cost.

import (
	"crypto/sha1" //nolint:gosec // the format is what it is
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/bcrypt"
)

// Bounds of what one comparison may cost. A hash beyond them would let anyone
// who knows a name keep a core busy for minutes.
const (
	maxBcryptCost = 16        // some 4 s
	maxRounds     = 5_000_000 // of SHA-crypt; some 2 s
)

// HashError says why a hash of a password is not taken.
type HashError struct {
	Reason string
	Do     string // one line: what to do
}

func (e *HashError) Error() string { return e.Reason }

// Hint says what to do.
func (e *HashError) Hint() string { return e.Do }

const makeOne = "make one with: htpasswd -nB USER, or openssl passwd -6"

// CheckHash says whether a hash of a password can be compared with: nil, or a
// *HashError. Those that can are
//
//	$2y$ $2b$ $2a$   bcrypt (htpasswd -B)
//	$6$  $5$         SHA-512 and SHA-256 crypt (openssl passwd -6, -5; crypt(3))
//	$apr1$           Apache's MD5 (htpasswd -m)
//	$1$              MD5 crypt (openssl passwd -1)
//	{SHA} {SSHA}     SHA-1, without and with salt (htpasswd -s)
//
// What is refused is DES crypt, which looks at eight characters of a password
// and can be searched through in hours, and a password in plain text.
func CheckHash(hash string) error {
	_, err := parseHash(hash)
	return err
}

// comparison compares a password with the hash that it was made of.
type comparison func(password string) bool

// parseHash finds out what a hash is.
func parseHash(hash string) (comparison, error) {
	switch {
	case strings.HasPrefix(hash, "$2"):
		return parseBcrypt(hash)
	case strings.HasPrefix(hash, apr1Magic):
		return parseMD5(hash, apr1Magic)
	case strings.HasPrefix(hash, md5Magic):
		return parseMD5(hash, md5Magic)
	case strings.HasPrefix(hash, "$5$"):
		return parseSHACrypt(hash, &sha256Crypt)
	case strings.HasPrefix(hash, "$6$"):
		return parseSHACrypt(hash, &sha512Crypt)
	case hasFoldPrefix(hash, "{SHA}"):
		return parseSHA1(hash[len("{SHA}"):], false)
	case hasFoldPrefix(hash, "{SSHA}"):
		return parseSHA1(hash[len("{SSHA}"):], true)
	case hash == "":
		return nil, &HashError{"there is no hash of a password", makeOne}
	case hasFoldPrefix(hash, "{PLAIN}"):
		return nil, &HashError{"a password in plain text is not taken", makeOne}
	case strings.HasPrefix(hash, "$y$"), strings.HasPrefix(hash, "$7$"), strings.HasPrefix(hash, "$gy$"), strings.HasPrefix(hash, "$argon2"):
		return nil, &HashError{"a hash of this kind cannot be read", makeOne}
	case hash[0] == '$', hash[0] == '{':
		return nil, &HashError{"it is no hash of a password that is known here", makeOne}
	case hash[0] == '*', hash[0] == '!':
		return nil, &HashError{"it is a locked password, as in /etc/shadow", "leave the user out, or " + makeOne}
	case len(hash) == 13 && isCrypt64(hash):
		return nil, &HashError{"it is a hash of DES crypt, which looks at the first 8 characters of a password alone and is found out within hours", makeOne}
	}
	return nil, &HashError{"it is no hash: a password in plain text is not taken", makeOne}
}

func hasFoldPrefix(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

func parseBcrypt(hash string) (comparison, error) {
	broken := &HashError{"it is a bcrypt hash that is damaged", makeOne}
	if len(hash) != 60 || hash[3] != '$' || hash[6] != '$' || !strings.ContainsRune("aby", rune(hash[2])) {
		return nil, broken
	}
	for _, c := range hash[7:] {
		if !strings.ContainsRune(crypt64, c) {
			return nil, broken
		}
	}
	cost, err := strconv.ParseUint(hash[4:6], 10, 8)
	if err != nil || cost < uint64(bcrypt.MinCost) || cost > uint64(bcrypt.MaxCost) {
		return nil, broken
	}
	if cost > maxBcryptCost {
		return nil, &HashError{fmt.Sprintf("a bcrypt hash of cost %d takes minutes to compare; at most %d is taken", cost, maxBcryptCost), makeOne}
	}
	// $2y$ is what PHP and Apache call $2b$, and no hash of ours is computed by
	// the versions whose defects $2a$ may stand for.
	stored := []byte("$2b" + hash[3:])
	return func(password string) bool {
		return bcrypt.CompareHashAndPassword(stored, []byte(password)) == nil
	}, nil
}

// parseSHA1 reads base64 of SHA-1 of the password and, behind it, the salt.
func parseSHA1(encoded string, salted bool) (comparison, error) {
	sum, err := base64.StdEncoding.DecodeString(encoded)
	switch {
	case err != nil, len(sum) < sha1.Size, !salted && len(sum) != sha1.Size, len(sum) > sha1.Size+64:
		return nil, &HashError{"it is a SHA-1 hash that is damaged", makeOne}
	}
	sum, salt := sum[:sha1.Size], sum[sha1.Size:]
	return func(password string) bool {
		h := sha1.New()
		h.Write([]byte(password))
		h.Write(salt)
		return subtle.ConstantTimeCompare(h.Sum(nil), sum) == 1
	}, nil
}

// crypt64 are the digits of crypt(3), in its order.
const crypt64 = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

func isCrypt64(s string) bool { return strings.Trim(s, crypt64) == "" }

// appendCrypt64 appends the n digits of three bytes, the lowest six bits first.
func appendCrypt64(b []byte, high, middle, low byte, n int) []byte {
	for v := uint(high)<<16 | uint(middle)<<8 | uint(low); n > 0; n-- {
		b = append(b, crypt64[v&0x3f])
		v >>= 6
	}
	return b
}

var errSalt = errors.New("no salt")

// salted parts "SALT$DIGEST" behind a magic.
func salted(rest string, maxSalt, digest int) (salt, sum string, err error) {
	salt, sum, ok := strings.Cut(rest, "$")
	if !ok || len(salt) > maxSalt || len(sum) != digest || !isCrypt64(sum) {
		return "", "", errSalt
	}
	return salt, sum, nil
}
