//go:build unix

package attach

import (
	"slices"
	"strings"
	"testing"
)

func TestLines(t *testing.T) {
	long := strings.Repeat("x", maxLine)
	var got []string
	lines(strings.NewReader("one\r\n\ntwo\n"+long+"rest\nlast"), func(text string) { got = append(got, text) })
	if want := []string{"one", "", "two", long, "rest", "last"}; !slices.Equal(got, want) {
		t.Errorf("%.200q", got)
	}
}
