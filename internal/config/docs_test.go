package config

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

const (
	samplePath    = "../../docs/millrace.sample.toml"
	referencePath = "../../docs/reference-config.md"
)

// Every field of the types has a key and every key a field, a form and words.
func TestKeysAndFields(t *testing.T) {
	types := map[*section]reflect.Type{
		fileSection: reflect.TypeFor[Config](), serverSection: reflect.TypeFor[Server](), siteSection: reflect.TypeFor[Site](),
		basicAuthSection: reflect.TypeFor[BasicAuth](), rateLimitSection: reflect.TypeFor[RateLimit](),
		authSection: reflect.TypeFor[Auth](), filterSection: reflect.TypeFor[Filter](),
		fileCacheSection: reflect.TypeFor[FileCache](), listingSection: reflect.TypeFor[Listing](),
		routeSection: reflect.TypeFor[Route](), filesSection: reflect.TypeFor[Files](), appSection: reflect.TypeFor[App](),
		notSection: reflect.TypeFor[Match](), anySection: reflect.TypeFor[Match](), rewriteSection: reflect.TypeFor[Rewrite](),
		redirectSection: reflect.TypeFor[Redirect](), respondSection: reflect.TypeFor[Respond](), headersSection: reflect.TypeFor[Headers](), requestHeadersSection: reflect.TypeFor[RequestHeaders](), reverseSection: reflect.TypeFor[Reverse](), mapSection: reflect.TypeFor[Map](),
		compressSection: reflect.TypeFor[Compress](), cacheSection: reflect.TypeFor[Cache](), cacheStoreSection: reflect.TypeFor[CacheStore](),
		attachedSection: reflect.TypeFor[Attached](), appListenSection: reflect.TypeFor[AppListen](), upstreamSection: reflect.TypeFor[Upstream](),
		scriptSection: reflect.TypeFor[Script](), cgiSection: reflect.TypeFor[CGI](), userDirsSection: reflect.TypeFor[UserDirs](),
		upstreamServerSection: reflect.TypeFor[UpstreamServer](), stickySection: reflect.TypeFor[Sticky](), healthSection: reflect.TypeFor[Health](), upstreamTLSSection: reflect.TypeFor[UpstreamTLS](),
		tlsSection: reflect.TypeFor[TLS](), acmeSection: reflect.TypeFor[ACME](),
	}
	all := sections(fileSection)
	if len(all) != len(types) {
		t.Fatalf("%d sections, %d types", len(all), len(types))
	}
	for _, s := range all {
		fields := make(map[string]bool)
		for i := range types[s].NumField() {
			if f := types[s].Field(i); f.IsExported() && f.Name != "Warnings" && f.Name != "Off" { // Off: the short form of a table
				fields[f.Name] = true
			}
		}
		for _, k := range s.keys {
			f, ok := types[s].FieldByName(k.field)
			if !ok || !fields[k.field] {
				t.Errorf("%s in %s has no field %s of its own", k.name, s.title, k.field)
				continue
			}
			delete(fields, k.field)
			if k.doc == "" || k.within == nil && k.form.takes == "" {
				t.Errorf("%s in %s has no words", k.name, s.title)
			}
			if k.def != "" {
				k.byDefault(f.Type)
			}
			if k.within == nil { // value panics at a type that no key has
				new(decoder).decodeAny(f.Type)
			}
		}
		if s == notSection {
			delete(fields, "Not") // there is none within
		}
		for name := range fields {
			t.Errorf("field %s of %s has no key", name, types[s])
		}
		for _, name := range planned(s) {
			if s.key(name) != nil {
				t.Errorf("%s in %s is there, and said not to be", name, s.title)
			}
		}
	}
}

func (d *decoder) decodeAny(t reflect.Type) {
	d.src = new(source)
	d.value(spot{form: &form{}}, &value{shape: shapeDate}, reflect.New(t).Elem())
}

// sampleKey is a line of the sample: a key, live or not, its value, its words.
var sampleKey = regexp.MustCompile(`^#?([a-z_0-9]+) = (.*?) +# (.+)$`)

// The sample is valid, holds every key with its default and its explanation,
// and what is commented out in it is valid TOML of the right type as well.
func TestSample(t *testing.T) {
	dir := world(t)
	text, err := os.ReadFile(samplePath)
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := Parse(samplePath, text, dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range cfg.Warnings {
		t.Error(w)
	}

	headers := map[string]*section{
		"[site.route.basic_auth]": basicAuthSection, "[site.route.limit]": rateLimitSection,
		"[site.route.auth]": authSection, "[site.route.filter]": filterSection,
		"[server]": serverSection, "[[site]]": siteSection, "[[site.route]]": routeSection,
		"[server.file_cache]": fileCacheSection, "[site.route.files.listing]": listingSection,
		"[site.compress]": compressSection,
		"[server.cache]":  cacheStoreSection, "[site.route.cache]": cacheSection,
		"[site.route.files]": filesSection, "[app.main]": appSection,
		"[site.route.request_headers]": requestHeadersSection, "[site.route.reverse]": reverseSection,
		"[site.headers]": headersSection, "[site.map.lang]": mapSection,
		"[site.route.redirect]": redirectSection, "[site.route.rewrite]": rewriteSection, "[site.route.respond]": respondSection,
		"[app.main.attached.mail]": attachedSection, "[[app.main.listen]]": appListenSection, "[upstream.api]": upstreamSection,
		"[site.route.script]": scriptSection, "[site.route.cgi]": cgiSection, "[site.route.user_dirs]": userDirsSection,
		"[[upstream.api.servers]]": upstreamServerSection, "[upstream.api.sticky]": stickySection, "[upstream.api.health]": healthSection, "[upstream.secure]": upstreamSection, "[upstream.secure.tls]": upstreamTLSSection,
		"[site.tls]": tlsSection, "[site.tls.acme]": acmeSection,
	}
	seen := make(map[string]bool)
	var in *section
	var live strings.Builder
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if s := headers[line]; s != nil {
			in = s
		}
		if found := sampleKey.FindStringSubmatch(line); found != nil && in != nil {
			name, value := found[1], found[2]
			k := in.key(name)
			if k == nil {
				t.Errorf("%s is not a key of %s", name, in.title)
				continue
			}
			if k.def != "" && value != k.def {
				t.Errorf("the default of %s in %s is %s, the sample says %s", name, in.title, k.def, value)
			}
			seen[in.title+" "+name] = true
			line = strings.TrimPrefix(line, "#")
		}
		fmt.Fprintln(&live, line)
	}
	for _, s := range sections(fileSection)[1:] {
		for _, k := range s.keys {
			if s == notSection || s == anySection { // whose keys are a route's
				continue
			}
			if !seen[s.title+" "+k.name] && k.within == nil { // a table's keys are looked for themselves
				t.Errorf("the sample lacks %s in %s, or its explanation", k.name, s.title)
			}
		}
	}

	tree, err := parseTree("live", []byte(live.String()), nil)
	if err != nil {
		t.Fatal(err)
	}
	d := decoder{src: new(source)}
	d.table(fileSection, "", fileSection.title, tree, reflect.ValueOf(new(Config)).Elem())
	for _, problem := range d.src.problems {
		t.Error(problem)
	}
}

const referenceHead = `# millrace.toml: reference

This file is generated from the table of keys in internal/config: change the table, then run
` + "`go test ./internal/config -run Reference -update`" + `.
[millrace.sample.toml](millrace.sample.toml) shows every key in its place.

- The file is TOML, at most 4 MiB. A key that is not listed here is an error, and nothing starts.
- Relative paths are relative to the folder of the file. Folders that are named must exist; none is made.
- A duration has a unit: ` + "`ns`, `us`, `ms`, `s`, `m`, `h`, `d`" + `; parts add up, days first: ` + "`\"1d12h\"`" + `.
- A size is a whole number with a unit: ` + "`B`; `KiB`, `MiB`, `GiB` of 1024; `KB`, `MB`, `GB` of 1000" + `.
- Where a list of strings is taken, a single string will do.
- In a string ` + "`${NAME}`" + ` is a variable of the environment, of letters, digits and ` + "`_`" + `; one that is not set, or not
  closed, is an error. ` + "`$${NAME}`" + ` is the text ` + "`${NAME}`" + `. Any other ` + "`$`" + ` is itself.
- A key without a default is off, or absent, unless it says otherwise.
`

func reference() string {
	var b strings.Builder
	b.WriteString(referenceHead)
	cell := strings.NewReplacer("|", `\|`, "\n", " ").Replace
	for _, s := range sections(fileSection) {
		title := "`" + s.label(s.example) + "`"
		if s == fileSection {
			title = "The file"
		}
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n| key | takes | default | meaning |\n|---|---|---|---|\n", title, s.doc)
		for _, k := range s.keys {
			takes, def := k.form.takes, k.def
			if k.within != nil {
				takes = "`" + k.within.label(k.within.example) + "`, below"
				if k.short {
					takes = "true, false, or " + takes
				}
				if k.off {
					takes = "false, or " + takes
				}
			}
			if def != "" {
				def = "`" + def + "`"
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", k.name, cell(takes), cell(def), cell(k.doc))
		}
	}
	return b.String()
}

func TestReference(t *testing.T) {
	golden(t, referencePath, reference())
}

// Every piece of TOML in the page on routes can be served, with the apps that
// it names.
func TestRoutesPage(t *testing.T) {
	dir := world(t)
	text, err := os.ReadFile("../../docs/routes.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```toml\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	if len(blocks) == 0 {
		t.Fatal("no TOML in the page")
	}
	for _, block := range blocks {
		piece := block[1]
		if !strings.Contains(piece, "[[site]]") {
			piece = "[[site]]\nroot = \"public_html\"\n" + piece
		}
		piece += "\n[app.main]\nwsgi = \"a:b\"\n[upstream.api]\nprotocol = \"http\"\nservers = [\"127.0.0.1:9\"]\n"
		cfg, err := Parse("routes.md", []byte(piece), dir)
		if err != nil {
			t.Errorf("%v in\n%s", err, piece)
			continue
		}
		for _, w := range cfg.Warnings {
			if !strings.Contains(w.Problem, "no route leads to") {
				t.Errorf("%v in\n%s", w, piece)
			}
		}
	}
}
