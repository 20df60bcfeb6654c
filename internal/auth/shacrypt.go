package auth

// This file: SHA-crypt, $5$ and $6$, by Ulrich Drepper's specification ("Unix
// crypt using SHA-256 and SHA-512", version 0.6).

import (
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"fmt"
	"hash"
	"io"
	"strconv"
	"strings"
)

// shaCrypt is one of the two.
type shaCrypt struct {
	new    func() hash.Hash
	digits int
	order  [][3]int // which bytes of the digest stand together; -1: none
}

var (
	sha256Crypt = shaCrypt{new: sha256.New, digits: 43, order: threes(10, 2, [3]int{-1, 31, 30})}
	sha512Crypt = shaCrypt{new: sha512.New, digits: 86, order: threes(21, 1, [3]int{-1, -1, 63})}
)

// threes are the groups of three in order: (0, n, 2n), and each next is one
// byte further and turned by so many places more.
func threes(n, turn int, last [3]int) [][3]int {
	var all [][3]int
	for i := range n {
		group, k := [3]int{i, i + n, i + 2*n}, i*turn%3
		all = append(all, [3]int{group[k], group[(k+1)%3], group[(k+2)%3]})
	}
	return append(all, last)
}

const (
	shaMaxSalt       = 16
	shaDefaultRounds = 5000
	shaMinRounds     = 1000
)

func parseSHACrypt(text string, kind *shaCrypt) (comparison, error) {
	rest, rounds := text[len("$5$"):], shaDefaultRounds
	damaged := &HashError{"it is a SHA-crypt hash that is damaged", makeOne}
	if after, ok := strings.CutPrefix(rest, "rounds="); ok {
		number, behind, ok := strings.Cut(after, "$")
		n, err := strconv.ParseUint(number, 10, 31)
		if !ok || err != nil {
			return nil, damaged
		}
		rest, rounds = behind, max(int(n), shaMinRounds)
	}
	if rounds > maxRounds {
		return nil, &HashError{fmt.Sprintf("a hash of %d rounds takes long to compare; at most %d are taken", rounds, maxRounds), makeOne}
	}
	salt, sum, err := salted(rest, shaMaxSalt, kind.digits)
	if err != nil {
		return nil, damaged
	}
	return func(password string) bool {
		return subtle.ConstantTimeCompare(kind.crypt(password, salt, rounds), []byte(sum)) == 1
	}, nil
}

// crypt returns the digits of the hash. The numbers are the specification's
// steps.
func (k *shaCrypt) crypt(password, salt string, rounds int) []byte {
	key, h := []byte(password), k.new()

	h.Write(key) // 4 - 8
	io.WriteString(h, salt)
	h.Write(key)
	b := h.Sum(nil)

	h.Reset() // 1 - 3
	h.Write(key)
	io.WriteString(h, salt)
	writeFor(h, b, len(key))            // 9, 10
	for n := len(key); n > 0; n >>= 1 { // 11
		if n&1 == 1 {
			h.Write(b)
		} else {
			h.Write(key)
		}
	}
	a := h.Sum(nil) // 12

	h.Reset() // 13 - 16
	for range len(key) {
		h.Write(key)
	}
	p := repeated(h.Sum(nil), len(key))

	h.Reset() // 17 - 20
	for range 16 + int(a[0]) {
		io.WriteString(h, salt)
	}
	s := repeated(h.Sum(nil), len(salt))

	for i := range rounds { // 21
		h.Reset()
		turn(h, i%2 == 1, p, a)
		if i%3 != 0 {
			h.Write(s)
		}
		if i%7 != 0 {
			h.Write(p)
		}
		turn(h, i%2 == 0, p, a)
		a = h.Sum(a[:0])
	}

	out := make([]byte, 0, k.digits+1) // 22
	for _, at := range k.order {
		var three [3]byte
		n := 1
		for i, from := range at {
			if from >= 0 {
				three[i] = a[from]
				n++
			}
		}
		out = appendCrypt64(out, three[0], three[1], three[2], n)
	}
	return out
}

// turn writes one of two.
func turn(h io.Writer, first bool, one, other []byte) {
	if !first {
		one = other
	}
	h.Write(one)
}

// writeFor writes n bytes, of sum again and again.
func writeFor(h io.Writer, sum []byte, n int) {
	for ; n > len(sum); n -= len(sum) {
		h.Write(sum)
	}
	h.Write(sum[:n])
}

func repeated(sum []byte, n int) []byte {
	all := make([]byte, 0, n)
	for len(all) < n {
		all = append(all, sum[:min(len(sum), n-len(all))]...)
	}
	return all
}
