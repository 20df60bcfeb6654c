package script

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"millrace/internal/docroot"
)

// reference parts a path in the slowest way: every prefix whose last bytes are
// the extension, as ASCII has it, and that "/" or nothing follows; the first
// that is a file.
func reference(path, ext string, isFile, isDir func(string) bool) (name, info string, ok bool) {
	for i := 1; i <= len(path); i++ {
		head, tail := path[:i], path[i:]
		if tail != "" && tail[0] != '/' {
			continue
		}
		if len(head) < len(ext) || !bytes.Equal(asciiLower(head[len(head)-len(ext):]), asciiLower(ext)) {
			continue
		}
		if isFile(head) {
			return head, tail, true
		}
		if !isDir(head) {
			return "", "", false
		}
	}
	return "", "", false
}

func asciiLower(s string) []byte {
	out := []byte(s)
	for i, c := range out {
		if strings.IndexByte("ABCDEFGHIJKLMNOPQRSTUVWXYZ", c) >= 0 {
			out[i] = c | 0x20
		}
	}
	return out
}

// FuzzSplit: ends of scripts are those of the slow reference, whatever bytes
// come; both parts together are the path.
func FuzzSplit(f *testing.F) {
	for _, path := range []string{"/a.php", "/a.php/b", "/a.PhP/x.php", "/ȺȺ.php.txt.php/", "/a.php\n/b.php", "/.php/.php", "/İ.php", "//a.php//", "/\xff.php/\xc5", "/K.php"} {
		f.Add(path, ".php", uint64(1))
	}
	f.Fuzz(func(t *testing.T, path, ext string, folders uint64) {
		if ext == "" || ext[0] != '.' || strings.Contains(ext, "/") || !strings.HasPrefix(path, "/") {
			t.Skip()
		}
		// Of the candidates some are folders, by their lengths.
		isDir := func(head string) bool { return folders>>(len(head)%64)&1 == 0 }
		isFile := func(head string) bool { return folders>>(len(head)%64)&1 == 1 }
		wantName, wantInfo, want := reference(path, ext, isFile, isDir)
		name, info, ok := "", "", false
		for end := nextEnd(path, 0, []string{ext}); end > 0; end = nextEnd(path, end, []string{ext}) {
			if isFile(path[:end]) {
				name, info, ok = path[:end], path[end:], true
				break
			}
		}
		if name != wantName || info != wantInfo || ok != want {
			t.Fatalf("%q by %q: %q %q %v, want %q %q %v", path, ext, name, info, ok, wantName, wantInfo, want)
		}
	})
}

// FuzzFind: what runs is a file below the root that was meant, and nothing else
// of the path is lost.
func FuzzFind(f *testing.F) {
	root := tree(f, names...)
	for _, name := range names {
		f.Add("/"+name, false)
		f.Add("/"+name+"/x/../y", true)
		f.Add("/"+name+"/more", true)
	}
	f.Add("/uploads/../info.php", true)
	f.Add("/%2e/info.php", true)
	f.Fuzz(func(t *testing.T, path string, front bool) {
		o := Options{Root: root, Extensions: []string{".php"}, Index: "index.php", Exclude: []string{"/uploads/"}}
		if front {
			o.Front = "index.php"
		}
		got, err := New(o).Find(path)
		if err != nil {
			t.Fatalf("%q: %v", path, err)
		}
		if got.Kind != Run {
			return
		}
		rel, ok := docroot.Clean(got.Name)
		if !ok || "/"+rel != got.Name || got.Filename != filepath.Join(root, rel) || !strings.HasPrefix(got.Filename, root+"/") {
			t.Fatalf("%q runs %+v", path, got)
		}
		dir, err := docroot.Open(root)
		if err != nil {
			t.Fatal(err)
		}
		defer dir.Close()
		info, err := dir.Look(rel, false)
		if err != nil || info.Kind != docroot.Regular || strings.HasPrefix(strings.ToLower(rel), "uploads/") {
			t.Fatalf("%q runs %q: %+v, %v", path, rel, info, err)
		}
		if got.Info != "" && !strings.HasSuffix(path, got.Info) {
			t.Fatalf("%q has PATH_INFO %q", path, got.Info)
		}
		if bad(path) {
			t.Fatalf("%q runs %q", path, rel)
		}
	})
}
