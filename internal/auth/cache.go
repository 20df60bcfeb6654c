package auth

// This file: passwords that were right a while ago.

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"time"
)

const (
	cacheSize = 4096
	cacheAge  = 10 * time.Minute // since the password was compared
)

// digest is what the cache knows of a name, a password and a hash: without its
// key nobody can try passwords on what is in our memory, or on a core dump
// without this page.
type digest [sha256.Size]byte

// cache remembers what was right. Only that: what is wrong costs every time.
type cache struct {
	key [32]byte

	mu   sync.Mutex
	when map[digest]time.Time
}

func newCache() *cache {
	c := &cache{when: make(map[digest]time.Time)}
	_, _ = rand.Read(c.key[:]) // never fails
	return c
}

// digest is keyed by a prefix: what SHA-256 leaks of that can be used only by
// who sees digests, and they do not leave the process.
func (c *cache) digest(user, password, hash string) digest {
	var room [512]byte
	b := append(room[:0], c.key[:]...)
	for _, s := range [...]string{user, hash, password} {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(s)))
		b = append(b, s...)
	}
	sum := sha256.Sum256(b)
	clear(b)
	return sum
}

func (c *cache) has(d digest, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	when, ok := c.when[d]
	if ok && now.Sub(when) >= cacheAge {
		delete(c.when, d)
		return false
	}
	return ok
}

// add remembers d. A full cache forgets the oldest of a few.
func (c *cache) add(d digest, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.when[d]; !ok && len(c.when) >= cacheSize {
		c.forgetLocked()
	}
	c.when[d] = now
}

func (c *cache) forgetLocked() {
	var oldest digest
	var when time.Time
	n := 0
	for d, t := range c.when { // begins anywhere
		if n == 0 || t.Before(when) {
			oldest, when = d, t
		}
		if n++; n == 8 {
			break
		}
	}
	delete(c.when, oldest)
}
