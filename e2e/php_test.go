package e2e

// PHP by extension: php-cgi kept by command, as plain CGI, and php-fpm, each
// beside the files of the same folder.

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"millrace/internal/testkit"
)

// phpSays answers with what PHP takes the request for.
const phpSays = `<?php
header("Content-Type: application/json");
$all = [];
foreach (["SCRIPT_NAME", "PATH_INFO", "PHP_SELF", "SCRIPT_FILENAME", "DOCUMENT_ROOT", "PATH_TRANSLATED", "QUERY_STRING", "REQUEST_URI"] as $name) $all[$name] = $_SERVER[$name] ?? "-";
$all["FILE"] = __FILE__;
$all["CWD"] = getcwd();
$all["POST"] = strlen(file_get_contents("php://input"));
echo json_encode($all);
`

// phpRoot is a folder of scripts and files.
func phpRoot(t *testing.T) (dir string) {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"index.php": phpSays, "info.php": phpSays, "a b.php": phpSays, "blog/index.php": phpSays, "wp/index.php": phpSays, "wp/style.css": "css", "wp/admin/index.php": phpSays,
		"uploads/evil.php": "<?php echo 'evil';", "uploads/cat.jpg": "<?php echo 'evil';", "page.html": "a page", "folder.php/x.php": phpSays, "UPPER.PHP": phpSays,
	} {
		path := filepath.Join(dir, "www", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const phpRoutes = `
[[site]]
listen = ["127.0.0.1:0"]
[[site.route]]
path = "/wp/*"
mount = "/wp"
WHO = "php"
script = { root = "www/wp", front = "index.php" }
[[site.route]]
WHO = "php"
script = { root = "www", exclude = ["/uploads/*"] }
[[site.route]]
files = { root = "www" }
`

// php are the ways in which PHP runs: the configuration after the routes.
var php = map[string]func(t *testing.T, dir string) (who, config string){
	"php-cgi": func(t *testing.T, _ string) (string, string) {
		return "app", "[app.php]\ncommand = [\"" + testkit.Need(t, "php-cgi") + "\"]\nworkers = 2\n"
	},
	"php-cgi as CGI": func(t *testing.T, _ string) (string, string) {
		return "app", "[app.php]\ncommand = [\"" + testkit.Need(t, "php-cgi") + "\"]\nmethod = \"cgi\"\n"
	},
	"php-fpm": func(t *testing.T, dir string) (string, string) {
		program := ""
		for _, name := range []string{"php-fpm", "php-fpm8.4", "php-fpm8.3"} {
			if path, err := exec.LookPath(name); err == nil {
				program = path
			}
		}
		if program == "" {
			program = testkit.Need(t, "php-fpm8.2")
		}
		fpm := fmt.Sprintf("[global]\nerror_log = %s/fpm.log\ndaemonize = no\n[www]\nlisten = %[1]s/fpm.sock\npm = static\npm.max_children = 2\n", dir)
		args := []string{"-n", "-F", "-y", dir + "/fpm.conf"}
		if os.Getuid() == 0 {
			fpm += "user = root\ngroup = root\nlisten.owner = root\n"
			args = append(args, "-R")
		}
		if err := os.WriteFile(dir+"/fpm.conf", []byte(fpm), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(program, args...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = cmd.Process.Signal(os.Interrupt)
			_ = cmd.Wait()
		})
		return "upstream", "[upstream.php]\nprotocol = \"fastcgi\"\nservers = \"unix:" + dir + "/fpm.sock\"\n"
	},
}

func TestPHP(t *testing.T) {
	for name, run := range php {
		t.Run(name, func(t *testing.T) {
			dir := phpRoot(t)
			who, config := run(t, dir)
			if err := os.WriteFile(filepath.Join(dir, "millrace.toml"), []byte(strings.ReplaceAll(phpRoutes, "WHO", who)+config), 0o600); err != nil {
				t.Fatal(err)
			}
			s := startWith(t, dir, 2)
			s.waitFor("PHP", func() bool {
				resp, err := http.Get(s.url + "/info.php")
				if err == nil {
					resp.Body.Close()
				}
				return err == nil && resp.StatusCode == 200
			})
			checkPHP(t, s, filepath.Join(dir, "www"))
		})
	}
}

// checkPHP asks for pages, files, and what must be neither.
func checkPHP(t *testing.T, s *server, www string) {
	t.Helper()
	c := client(t)
	for path, want := range map[string][3]string{ // SCRIPT_NAME, PATH_INFO ("-": none), file
		"/info.php":               {"/info.php", "", "/info.php"},
		"/info.php/a%20b/c?x=1":   {"/info.php", "/a b/c", "/info.php"},
		"/info.php//a//b":         {"/info.php", "//a//b", "/info.php"},
		"/info.php/x.php/y":       {"/info.php", "/x.php/y", "/info.php"},
		"/":                       {"/index.php", "", "/index.php"},
		"/blog/":                  {"/blog/index.php", "", "/blog/index.php"},
		"/a%20b.php":              {"/a b.php", "", "/a b.php"},
		"/folder.php/x.php/info":  {"/folder.php/x.php", "/info", "/folder.php/x.php"},
		"/wp/":                    {"/wp/index.php", "", "/wp/index.php"},
		"/wp/2026/a-post/":        {"/wp/index.php", "", "/wp/index.php"},
		"/wp/none.php":            {"/wp/index.php", "", "/wp/index.php"},
		"/wp/admin/":              {"/wp/admin/index.php", "", "/wp/admin/index.php"},
		"/wp/admin/index.php/x/y": {"/wp/admin/index.php", "/x/y", "/wp/admin/index.php"},
	} {
		f := get(t, c, s.url+path, 200)
		var got map[string]any
		if err := json.Unmarshal([]byte(f.text), &got); err != nil {
			t.Errorf("%s: %v in %s", path, err, f.text)
			continue
		}
		info := fmt.Sprint(got["PATH_INFO"])
		if info == "-" {
			info = ""
		}
		uri, query, _ := strings.Cut(path, "?")
		root := www
		if strings.HasPrefix(path, "/wp/") {
			root = www + "/wp"
		}
		if got["SCRIPT_NAME"] != want[0] || info != want[1] || got["PHP_SELF"] != want[0]+want[1] || got["FILE"] != www+want[2] || got["SCRIPT_FILENAME"] != www+want[2] ||
			got["DOCUMENT_ROOT"] != root || got["REQUEST_URI"] != path || got["QUERY_STRING"] != query || want[1] != "" && got["PATH_TRANSLATED"] != root+want[1] {
			t.Errorf("%s (%s): %s", path, uri, f.text)
		}
	}
	for path, want := range map[string]string{"/page.html": "a page", "/wp/style.css": "css", "/uploads/cat.jpg": "<?php echo 'evil';"} {
		if got := get(t, c, s.url+path, 200).text; got != want {
			t.Errorf("%s: %q", path, got)
		}
	}
	// No script, and no text of one: cgi.fix_pathinfo's hole, CVE-2019-11043,
	// CVE-2026-27590, uploads, other spellings.
	for path, want := range map[string]int{
		"/uploads/cat.jpg/x.php": 404, "/uploads/cat.jpg/.php": 404, "/page.html/x.php": 404, "/none.php": 404, "/none.php/info.php": 404, "/uploads/evil.php": 404, "/Uploads/evil.php": 404,
		"/info.php/%0a": 400, "/info.php%0a/x.php": 400, "/info.php%00": 400, "/info.php%00.jpg": 400, "/uploads/cat.jpg%00.php": 400, "/%2e%2e/info.php": 400, "/blog/..%2finfo.php": 400,
		"/%C8%BA%C8%BA%C8%BA%C8%BA.php.jpg.php": 404, "/uploads/cat.jpg/%C4%B0.php": 404, "/info.PHP": 404, "/.php": 404, "/info.php.": 404, "/info.php%20": 404, "/info%2ephp~": 404,
		"/blog%5cindex.php": 404, "/.info.php": 404,
	} {
		if text := get(t, c, s.url+path, want).text; strings.Contains(text, "evil") || strings.Contains(text, "<?php") || strings.Contains(text, "SCRIPT") {
			t.Errorf("%s: %q", path, text)
		}
	}
	resp, err := c.Post(s.url+"/info.php", "application/octet-stream", strings.NewReader(strings.Repeat("b", 300_000)))
	if got := read(t, resp, err, 200); !strings.Contains(got.text, `"POST":300000`) {
		t.Errorf("a body: %s", got.text)
	}
}
