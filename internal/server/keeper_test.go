package server

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"millrace/internal/config"
)

// secretPlan is a plan with a secret in every place that may hold one of an
// app's.
func secretPlan(t *testing.T, secret string) *Plan {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"env": "FROM_FILE=" + secret + "-file\n", "key": secret + "-key"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return &Plan{
		Environ: []string{"INHERITED=" + secret + "-inherited"},
		Config: &config.Config{Apps: map[string]*config.App{"main": {
			WSGI: "a:b", Python: "/usr/bin/python3", Dir: "/", Env: map[string]string{"OWN": secret + "-own"},
			EnvFile: []string{filepath.Join(dir, "env")}, Secrets: map[string]string{"KEY": filepath.Join(dir, "key")},
			Attached: map[string]*config.Attached{"mail": {Command: []string{"/bin/true"}, Env: map[string]string{"ATTACHED": secret + "-attached"}, Count: 1}},
		}}},
	}
}

// TestSeal: what the front gets names no secret, and yet differs when one does.
func TestSeal(t *testing.T) {
	sealed := func(secret string) (*Plan, string) {
		p := secretPlan(t, secret)
		commands, err := Commands(p)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(commands["app main"].Env, " "); strings.Count(got, secret) != 4 {
			t.Fatalf("the app's own environment is %s", got)
		}
		s, err := p.Seal(commands, []byte("key"))
		if err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(b), secret) {
			t.Errorf("the sealed plan holds a secret: %s", b)
		}
		again := new(Plan)
		if err := json.Unmarshal(b, again); err != nil {
			t.Fatal(err)
		}
		return again, string(b)
	}
	one, _ := sealed("hush")
	other, _ := sealed("mum's the word")
	host := func(p *Plan) any {
		c, err := hostCommand("main", p)
		if err != nil {
			t.Fatal(err)
		}
		return p.command(c)
	}
	if reflect.DeepEqual(host(one), host(other)) {
		t.Error("a change of a secret is not seen")
	}
	if !reflect.DeepEqual(host(one), host(one)) {
		t.Error("the same plan differs from itself")
	}
}
