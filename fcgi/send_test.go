package fcgi

import (
	"fmt"
	"strings"
	"testing"

	"millrace/gateway"
)

// TestSplitAtPairs: parameters that need several records are cut between two
// of them, and inside one only where it is larger than a record.
func TestSplitAtPairs(t *testing.T) {
	req := &gateway.Request{}
	for i, size := range []int{10, 30_000, 30_000, 30_000, 70_000, 127, 128, 65_000, 5} {
		req.Params = append(req.Params, gateway.Param{Name: fmt.Sprint("P", i), Value: strings.Repeat("v", size)})
	}
	b, err := begin(nil, 1, req, true)
	if err != nil {
		t.Fatal(err)
	}
	r := newReader(strings.NewReader(string(b)))
	var all []byte
	whole, records := 0, 0
	for {
		h, err := r.next()
		if err != nil {
			t.Fatal(err)
		}
		content, err := r.whole(nil)
		if err != nil {
			t.Fatal(err)
		}
		if h.Type != Params {
			continue
		}
		if len(content) == 0 {
			break
		}
		records++
		all = append(all, content...)
		if _, err := AppendPairs(nil, content); err == nil {
			whole++
		}
	}
	got, err := AppendPairs(nil, all)
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range req.Params {
		if got[i] != p {
			t.Errorf("parameter %d is %q and %d bytes", i, got[i].Name, len(got[i].Value))
		}
	}
	if records != 5 || whole != 3 {
		t.Errorf("%d records, %d of whole pairs; want 5 and 3", records, whole)
	}
}
