//go:build unix

package daemontools

import (
	"bufio"
	"bytes"
	"testing"
	"time"
)

func FuzzLabel(f *testing.F) {
	f.Add([]byte("@400000003b4a39c23294b13c fatal\nx"))
	f.Add([]byte("@\n@4\n@ffffffffffffffffffffffff\n@400000003b4a39c23294b13c"))
	f.Fuzz(func(t *testing.T, in []byte) {
		var out bytes.Buffer
		w := bufio.NewWriter(&out)
		_ = copyLocal(bufio.NewReader(bytes.NewReader(in)), w, time.UTC)
		_ = w.Flush()
		if !bytes.Contains(in, []byte("@")) && !bytes.Equal(in, out.Bytes()) {
			t.Errorf("%q became %q", in, out.Bytes())
		}
		if got, want := bytes.Count(out.Bytes(), []byte("\n")), bytes.Count(in, []byte("\n")); got != want {
			t.Errorf("%d lines became %d", want, got)
		}
		if len(in) < 8 {
			return
		}
		// A label is what was labelled.
		at := time.Unix(int64(in[0])<<32|int64(in[1])<<24|int64(in[2])<<16|int64(in[3]), int64(in[4])<<20|int64(in[5]))
		var l label
		for _, c := range appendStamp(nil, at)[1:] {
			if !l.add(c) {
				t.Fatalf("%q is no digit", c)
			}
		}
		if l.unix() != at.Unix() || int(l.nanoseconds) != at.Nanosecond() {
			t.Errorf("%v became %d.%d", at, l.unix(), l.nanoseconds)
		}
	})
}
