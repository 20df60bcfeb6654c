package e2e

// Mistakes in what a gateway is configured of: nothing starts, and what runs
// goes on.

import (
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// gatewayMistakes are what stands in place of a good group, and what is said of
// it.
var gatewayMistakes = map[string]struct{ config, says string }{
	"an unknown upstream":            {"[upstream.apis]\nprotocol = \"http\"\nservers = [\"{good}\"]\n", `5:1: upstream = "api" in [[site.route]]: there is no such upstream`},
	"no servers":                     {"[upstream.api]\nprotocol = \"http\"\nservers = []\n", `8:1: servers = [] in [upstream.api]: is empty`},
	"servers that are not said":      {"[upstream.api]\nprotocol = \"http\"\n", `6:11: servers is missing in [upstream.api]`},
	"a server without a host":        {"[upstream.api]\nprotocol = \"http\"\nservers = [\":80\"]\n", `8:12: address = ":80" in servers of [upstream.api]: has no host`},
	"an unknown protocol":            {"[upstream.api]\nprotocol = \"gopher\"\nservers = [\"{good}\"]\n", `7:1: protocol = "gopher" in [upstream.api]`},
	"backups alone":                  {"[upstream.api]\nprotocol = \"http\"\nservers = [{ address = \"{good}\", backup = true }]\n", `servers in [upstream.api] are all backups`},
	"a check of nothing":             {"[upstream.api]\nprotocol = \"http\"\nservers = [\"{good}\"]\nhealth = true\n", `path is missing in health of [upstream.api]`},
	"a check by a path over FastCGI": {"[upstream.api]\nprotocol = \"fastcgi\"\nservers = [\"{good}\"]\nhealth = { path = \"/x\" }\n", `path in health of [upstream.api]: fastcgi is asked without one`},
	"a check that is never over":     {"[upstream.api]\nprotocol = \"fastcgi\"\nservers = [\"{good}\"]\nhealth = { interval = \"1s\", timeout = \"2s\" }\n", `timeout = "2s" in health of [upstream.api]: is not shorter than interval`},
	"a hash of nothing":              {"[upstream.api]\nprotocol = \"fastcgi\"\nservers = [\"{good}\"]\nbalance = \"hash\"\n", `hash is missing`},
}

func TestGatewayMistakes(t *testing.T) {
	back := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("good")) }))
	t.Cleanup(back.Close)
	const site = "[[site]]\nlisten = [\"127.0.0.1:0\"]\n[[site.route]]\npath = \"/*\"\nupstream = \"api\"\n"
	configure := func(dir, text string) {
		put(t, filepath.Join(dir, "millrace.toml"), site+strings.ReplaceAll(text, "{good}", strings.TrimPrefix(back.URL, "http://")))
	}
	running := t.TempDir()
	configure(running, "[upstream.api]\nprotocol = \"http\"\nservers = [\"{good}\"]\n")
	s := startWith(t, running, 2)

	for name, m := range gatewayMistakes {
		dir := t.TempDir()
		configure(dir, m.config)
		cmd := exec.Command(binary, "serve")
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err == nil || cmd.ProcessState.ExitCode() != 2 {
			t.Errorf("%s: %v; want exit status 2", name, err)
		}
		if !regexp.MustCompile(`(?m)^millrace\.toml:([0-9]+:[0-9]+: .*)?` + regexp.QuoteMeta(m.says)).Match(out) {
			t.Errorf("%s:\n%s\nwant %s", name, out, m.says)
		}
		if strings.Contains(string(out), "ready") || strings.Contains(string(out), "http://127") {
			t.Errorf("%s: something has started:\n%s", name, out)
		}
		configure(running, m.config)
		if out, code := s.try("reload"); code == 0 {
			t.Errorf("%s: a reload took it:\n%s", name, out)
		}
		if got := get(t, client(t), s.url+"/", 200).text; got != "good" {
			t.Errorf("%s: after the reload: %q", name, got)
		}
	}
}
