//go:build unix

package keeper

// UDP sockets beside the listeners of a front. Two processes that read one would
// each get a part of the other's packets, so a front has it alone: during an
// upgrade the next one waits until the old has let it go.

import (
	"context"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"

	"millrace/internal/listen"
)

// packetKey is a UDP socket's beside the listener that has a key.
func packetKey(key string) string { return "udp " + key }

// packet opens the UDP socket beside a listener that the front has, which is
// named by its key. later: the reply comes when it is free.
func (k *Keeper) packet(f *front, m *message) (key string, _ *os.File, later bool, err error) {
	h := k.held[m.Text]
	switch {
	case !k.allowed(func(l *Loaded) []string { return l.Packets }, m.Address),
		h == nil, h != nil && !h.users[f.number],
		m.Text != m.Address && !strings.HasPrefix(m.Text, m.Address+"#"):
		return "", nil, false, fmt.Errorf("cannot open UDP beside %.100q: the configuration does not say so, or it is not open", m.Address)
	}
	key = packetKey(m.Text)
	if p := k.held[key]; p != nil {
		if len(p.users) == 0 {
			p.users[f.number] = true
			return key, p.file, false, nil
		}
		if len(p.waiting) >= maxAnyPort {
			return "", nil, false, fmt.Errorf("UDP beside %.100q is waited for already", m.Address)
		}
		p.waiting = append(p.waiting, waiting{f, m.ID})
		return "", nil, true, nil
	}
	p, err := openPacket(m.Address, h.file)
	if err != nil {
		return "", nil, false, err
	}
	p.users[f.number] = true
	k.held[key] = p
	return key, p.file, false, nil
}

func openPacket(address string, beside *os.File) (*held, error) {
	l, err := net.FileListener(beside)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	tcp, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		return nil, fmt.Errorf("cannot open UDP beside %.100q: it is not TCP", address)
	}
	c, err := listen.OpenPacket(address, tcp.Port)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	file, err := c.File()
	if err != nil {
		return nil, err
	}
	return &held{file: file, users: map[int]bool{}}, nil
}

// passOn gives a packet socket that nobody has any more to who waits for it.
func (k *Keeper) passOn(key string, h *held) {
	for len(h.users) == 0 && len(h.waiting) > 0 {
		next := h.waiting[0]
		h.waiting = h.waiting[1:]
		if !k.lives(next.front) {
			continue
		}
		h.users[next.front.number] = true
		k.reply(next.front, &message{ID: next.request, Do: "reply", Address: key}, h.file)
	}
}

// giveUp is what a front says that waits no more: if it does not wait any more,
// it has got the socket, and dropped it.
func (k *Keeper) giveUp(f *front, key string) {
	h := k.held[key]
	if h == nil {
		return
	}
	for i, w := range h.waiting {
		if w.front == f {
			h.waiting = slices.Delete(h.waiting, i, i+1)
			return
		}
	}
	k.release(f, key)
}

// ListenPacket has the keeper open the UDP socket beside a listener that it has
// opened. It waits until no other front has it, or ctx is done.
func (c *Client) ListenPacket(ctx context.Context, beside *listen.Listener) (*net.UDPConn, listen.Owner, error) {
	of, ok := beside.Owner().(*owner)
	if !ok {
		return nil, nil, fmt.Errorf("cannot open UDP beside %s: it is not the keeper's", beside.Address())
	}
	got, err := c.ask(ctx, &message{Do: "packet", Address: beside.Address(), Text: of.key})
	if err != nil {
		if ctx.Err() != nil {
			_ = c.wire.send(&message{Do: "give up", Address: packetKey(of.key)})
		}
		return nil, nil, err
	}
	defer closeAll(got.files)
	if len(got.files) != 1 {
		return nil, nil, errNoDescriptor
	}
	conn, err := listen.GivenPacket(beside.Address(), got.files[0])
	return conn, &owner{c, got.Address}, err
}
