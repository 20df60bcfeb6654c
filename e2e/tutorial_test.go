package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// block finds the text of the tutorial in a language.
func block(t *testing.T, tutorial []byte, language string) string {
	t.Helper()
	found := regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllSubmatch(tutorial, -1)
	if len(found) != 1 {
		t.Fatalf("the tutorial has %d blocks of %s", len(found), language)
	}
	return string(found[0][1])
}

// TestTutorial: what docs/tutorial.md has one write goes together, and millrace
// finds nothing wrong with it. The machine's ports, users and authorities are
// not the test's.
func TestTutorial(t *testing.T) {
	tutorial, err := os.ReadFile("../docs/tutorial.md")
	if err != nil {
		t.Fatal(err)
	}
	folder := startproject(t)
	appendTo(t, filepath.Join(folder, "mysite", "settings.py"), block(t, tutorial, "python"))
	python(t, folder, nil, "manage.py", "collectstatic", "--noinput")
	if err := os.Symlink(venv, filepath.Join(folder, "venv")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"log", "acme"} {
		if err := os.Mkdir(filepath.Join(folder, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	config := block(t, tutorial, "toml")
	user := regexp.MustCompile(`(?m)^user = .*\n`)
	if n := len(user.FindAllString(config, -1)); n != 2 {
		t.Fatalf("the configuration has %d users", n)
	}
	if err := os.WriteFile(filepath.Join(folder, "millrace.toml"), []byte(user.ReplaceAllString(config, "")), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, dir: folder}
	if out := s.run("check"); strings.Contains(out, "warning") {
		t.Errorf("check:\n%s", out)
	}

	// The same site without TLS answers.
	plain := regexp.MustCompile(`(?s)\[site\.tls\].*?(\[\[site\.route\]\])`).ReplaceAllString(config, "$1")
	plain = strings.NewReplacer(`":443"`, `"127.0.0.1:0"`, `"mysite.example"`, `"mysite.example", "127.0.0.1"`).Replace(user.ReplaceAllString(plain, ""))
	if err := os.WriteFile(filepath.Join(folder, "millrace.toml"), []byte(plain), 0o600); err != nil {
		t.Fatal(err)
	}
	appendTo(t, filepath.Join(folder, "mysite", "settings.py"), "ALLOWED_HOSTS.append(\"127.0.0.1\")\n")
	python(t, folder, nil, "manage.py", "migrate")
	served := start(t, folder)
	if n := stylesheets(t, client(t), get(t, client(t), served.url+"/admin/", 200)); n < 2 {
		t.Errorf("the login page has %d stylesheets", n)
	}
}
