package main

// The machine and the programs of a run.

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"
)

func describeMachine(ctx context.Context) []fact {
	cpu, memory := "unknown", "unknown"
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		cpu = cpuModel(string(text))
	}
	if text, err := os.ReadFile("/proc/meminfo"); err == nil {
		memory = memoryTotal(string(text))
	}
	facts := []fact{
		{"cores", fmt.Sprint(runtime.NumCPU())},
		{"CPU", cpu},
		{"memory", memory},
		{"kernel", output(ctx, "uname", "-sr")},
		{"architecture", runtime.GOARCH},
	}
	if text, err := os.ReadFile("/etc/os-release"); err == nil {
		if _, rest, found := strings.Cut(string(text), "PRETTY_NAME="); found {
			line, _, _ := strings.Cut(rest, "\n")
			facts = append(facts, fact{"system", strings.Trim(line, `"`)})
		}
	}
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		first, _, _ := strings.Cut(string(text), " ")
		facts = append(facts, fact{"load average before", first})
	}
	return facts
}

// cpuModel reads /proc/cpuinfo, which names no model on some architectures.
func cpuModel(text string) string {
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		key, value, _ := strings.Cut(lines.Text(), ":")
		if key = strings.TrimSpace(key); key == "model name" || key == "Model" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

func memoryTotal(text string) string {
	_, rest, _ := strings.Cut(text, "MemTotal:")
	var kib int64
	if _, err := fmt.Sscanf(rest, "%d kB", &kib); err != nil {
		return "unknown"
	}
	return fmt.Sprintf("%.1f GB", float64(kib)*1024/1e9)
}

// output is the first line that a program prints; empty if it can't be run.
func output(ctx context.Context, name string, args ...string) string {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	text, _ := exec.CommandContext(ctx, name, args...).CombinedOutput() // wrk -v exits with 1
	line, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
	return strings.TrimSpace(line)
}

var versionNumber = regexp.MustCompile(`v?[0-9]+\.[0-9][0-9A-Za-z.+~-]*`)

// versions names every program that a scenario may start; what is not there
// is named as missing.
func versions(ctx context.Context, s *settings) []fact {
	var facts []fact
	add := func(name, text string) {
		version := versionNumber.FindString(text)
		if version == "" {
			version = "missing"
		}
		facts = append(facts, fact{name, version})
	}
	add("millrace", output(ctx, s.millrace, "--version"))
	if commit := output(ctx, "git", "rev-parse", "--short=12", "HEAD"); commit != "" && !strings.Contains(commit, " ") {
		facts[0].is += ", commit " + commit
	}
	add("Go", strings.TrimPrefix(runtime.Version(), "go"))
	add("Python", output(ctx, s.python, "-V"))
	add("Django", distribution(s.site, "django"))
	for _, name := range []string{"granian", "gunicorn", "flup"} {
		add(name, distribution(s.servers, name))
	}
	for _, one := range []struct {
		name, program string
		args          []string
	}{
		{"nginx", "nginx", []string{"-v"}},
		{"uWSGI", "uwsgi", []string{"--version"}},
		{"Apache", "apache2", []string{"-v"}},
		{"mod_wsgi", "dpkg-query", []string{"-W", "-f=${Version}", "libapache2-mod-wsgi-py3"}},
		{"lighttpd", "lighttpd", []string{"-v"}},
		{"Caddy", "caddy", []string{"version"}},
		{"HAProxy", "haproxy", []string{"-v"}},
		{"php-fpm", phpFPM(), []string{"-v"}},
		{"wrk", "wrk", []string{"-v"}},
	} {
		path, err := lookPath(one.program)
		if err != nil {
			add(one.name, "")
			continue
		}
		text := output(ctx, path, one.args...)
		if one.name == "mod_wsgi" && strings.Contains(text, "no packages") {
			text = ""
		}
		add(one.name, text)
	}
	return facts
}

// distribution is the name of a Python package's folder of metadata, which
// holds its version.
func distribution(folder, name string) string {
	found, err := filepath.Glob(filepath.Join(folder, name+"-*.dist-info"))
	if err != nil || len(found) == 0 {
		return ""
	}
	return strings.TrimSuffix(filepath.Base(found[0]), ".dist-info")
}

// phpFPM is the name of php-fpm here; empty if there is none.
func phpFPM() string {
	for _, name := range []string{"php-fpm", "php-fpm8.4", "php-fpm8.3", "php-fpm8.2"} {
		if _, err := lookPath(name); err == nil {
			return name
		}
	}
	return "php-fpm"
}

// commandLineOf writes flags as they are to be typed within quotation marks.
func commandLineOf(args []string) string { return strings.Join(args, " ") }
