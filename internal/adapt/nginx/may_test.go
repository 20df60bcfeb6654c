package nginx

import "testing"

func TestMayMatch(t *testing.T) {
	for _, test := range []struct {
		expr, beginning, end string
		within, want         bool
	}{
		{`\.php$`, "/", "index.php", false, true},
		{`\.php$`, "/", "index.html", false, false},
		{`^/admin/.*\.html$`, "/", "index.html", false, true},
		{`^/admin/.*\.html$`, "/pub/", "index.html", false, false},
		{`^/(admin|private)/[^/]+/index`, "/", "index.html", false, true},
		{`(?i)/INDEX\.`, "/", "index.html", false, true},
		{`^/$`, "/", "index.html", false, false},
		{`/$`, "/", "index.html", false, false},
		{`/\.`, "/", "index.html", true, true}, // of a folder whose name begins with a dot
		{`/\.`, "/", "index.html", false, false},
		{`^/admin`, "/", "index.html", false, false},
		{`^/adm/?i`, "/", "index.html", false, true},
		{`^/pub/index`, "/pub", "index.html", false, true},
		{`^/pubindex`, "/pub", "index.html", false, false},
		{`^/x/index\b`, "/", "index.html", false, true},
		{`~$`, "/", "index.html", false, false},
		{`^[^/]*$`, "/", "index.html", false, false},
		{`^/[a-z]+\.html$`, "/", "index.html", false, true},
		{`^/[0-9]+/index\.html$`, "/x", "index.html", false, false},
		{``, "/", "index.html", true, true},
	} {
		if got := mayMatch(test.expr, test.beginning, test.end, test.within); got != test.want {
			t.Errorf("%q may match %s…%s: %v", test.expr, test.beginning, test.end, got)
		}
	}
}
