package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestProgramsOfTheVenv: an attached program may be one of the virtual
// environment, which is on the app's PATH and not on ours.
func TestProgramsOfTheVenv(t *testing.T) {
	for _, test := range []struct{ venv, keys, program, problem string }{
		{".venv", "", "queue-of-the-venv", ""},
		{"env", "venv = \"env\"\n", "queue-of-the-venv", ""},
		{"env", "", "queue-of-the-venv", "cannot run it"}, // nobody looks there
		{".venv", "", "text-of-the-venv", "cannot run it"},
		{".venv", "", "missing", "cannot run it"},
	} {
		dir := t.TempDir()
		bin := filepath.Join(dir, test.venv, "bin")
		if err := os.MkdirAll(bin, 0o755); err != nil {
			t.Fatal(err)
		}
		for name, mode := range map[string]os.FileMode{"python": 0o755, "queue-of-the-venv": 0o755, "text-of-the-venv": 0o644} {
			if err := os.WriteFile(filepath.Join(bin, name), nil, mode); err != nil {
				t.Fatal(err)
			}
		}
		_, err := Parse("millrace.toml", []byte("[app.main]\nwsgi = \"a:b\"\n"+test.keys+"[app.main.attached.x]\ncommand = [\""+test.program+"\"]\n"), dir)
		if (err == nil) != (test.problem == "") || err != nil && !strings.Contains(err.Error(), test.problem) {
			t.Errorf("%+v: %v", test, err)
		}
	}
}

// TestCronWildcards: which jobs are at a fixed time.
func TestCronWildcards(t *testing.T) {
	for line, want := range map[string]bool{
		"* 2 * * * x": true, "30 * * * * x": true, "*/5 2 * * * x": true, "0 */2 * * * x": true, "@hourly x": true,
		"30 2 * * * x": false, "0-59 2 * * * x": false, "30 2,3 * * 1 x": false, "@daily x": false, "@weekly x": false,
	} {
		c, err := ParseCron(line)
		if err != nil || c.Wildcard != want {
			t.Errorf("%s: %+v, %v", line, c, err)
		}
	}
}
