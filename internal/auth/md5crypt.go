package auth

// This file: MD5 crypt, of FreeBSD ($1$) and as Apache calls it ($apr1$).
//
// A thousand rounds of MD5 are little today; the hashes are taken because there
// are files full of them.

import (
	"crypto/md5" //nolint:gosec // the format is what it is
	"crypto/subtle"
)

const (
	md5Magic  = "$1$"
	apr1Magic = "$apr1$"

	md5Rounds  = 1000
	md5MaxSalt = 8
	md5Digits  = 22
)

func parseMD5(hash, magic string) (comparison, error) {
	salt, sum, err := salted(hash[len(magic):], md5MaxSalt, md5Digits)
	if err != nil {
		return nil, &HashError{"it is an MD5 hash that is damaged", makeOne}
	}
	return func(password string) bool {
		return subtle.ConstantTimeCompare(md5Crypt(password, magic, salt), []byte(sum)) == 1
	}, nil
}

// md5Crypt returns the digits of the hash.
func md5Crypt(password, magic, salt string) []byte {
	key := []byte(password)

	h := md5.New()
	h.Write(key)
	h.Write([]byte(salt))
	h.Write(key)
	between := h.Sum(nil)

	h.Reset()
	h.Write(key)
	h.Write([]byte(magic))
	h.Write([]byte(salt))
	for n := len(key); n > 0; n -= md5.Size {
		h.Write(between[:min(n, md5.Size)])
	}
	for n := len(key); n > 0; n >>= 1 { // a bit that is set gives a NUL, another the first character
		if n&1 == 1 {
			h.Write([]byte{0})
		} else {
			h.Write(key[:1])
		}
	}
	sum := h.Sum(nil)

	for i := range md5Rounds {
		h.Reset()
		turn(h, i%2 == 1, key, sum)
		if i%3 != 0 {
			h.Write([]byte(salt))
		}
		if i%7 != 0 {
			h.Write(key)
		}
		turn(h, i%2 == 0, key, sum)
		sum = h.Sum(sum[:0])
	}

	out := make([]byte, 0, md5Digits)
	for i := range 5 {
		last := i + 12
		if i == 4 {
			last = 5
		}
		out = appendCrypt64(out, sum[i], sum[i+6], sum[last], 4)
	}
	return appendCrypt64(out, 0, 0, sum[11], 2)
}
