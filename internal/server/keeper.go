package server

// What a server may lack the rights for: it asks a keeper, another process, or
// does it itself.

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"slices"

	"millrace/internal/config"
	"millrace/internal/listen"
	"millrace/internal/logfile"
	"millrace/internal/pool"
	"millrace/internal/supervise"
)

// Keeper is who has the rights that a server may lack.
type Keeper interface {
	supervise.Starter

	// Listen and OpenLog open what the plan names.
	Listen(address string, o listen.Options) (*listen.Listener, error)
	OpenLog(path string) (*os.File, error)

	// ListenPacket opens the UDP socket beside a listener, when nobody else has
	// it. The owner is told when it is closed; nil: nobody need be.
	ListenPacket(ctx context.Context, beside *listen.Listener) (*net.UDPConn, listen.Owner, error)

	// OpenFile opens a certificate or its key, as the plan names it, to read.
	OpenFile(path string) (*os.File, error)
	// RotateLog renames an access log, of which keep older ones stay: a plan's
	// own number, where somebody else has the plan.
	RotateLog(path string, keep int) error

	// WritePID writes the pidfile of the plan; an error says whose it is.
	WritePID() error
	RemovePID()

	// PID is the process that people know.
	PID() int

	// Use says that the plan of this number is served.
	Use(plan int) error

	// Remember keeps what a server that follows this one is to have as
	// Options.Memory.
	Remember(memory json.RawMessage) error

	// Take says that everything that can fail is there, and that the server
	// that this one follows may hand over. It is called where Options.Handed
	// is not nil.
	Take() error
}

// itself is a Keeper that is the server's own process.
type itself struct {
	supervise.Local
	server *Server
}

func (k itself) Listen(address string, o listen.Options) (*listen.Listener, error) {
	o.Systemd = k.server.opt.Systemd
	return listen.Open(address, o)
}

func (itself) OpenLog(path string) (*os.File, error)  { return logfile.Open(path) }
func (itself) OpenFile(path string) (*os.File, error) { return logfile.Read(path) }

func (itself) RotateLog(path string, keep int) error { return logfile.Rotate(path, keep) }

func (itself) ListenPacket(_ context.Context, beside *listen.Listener) (*net.UDPConn, listen.Owner, error) {
	port := 0
	if a, ok := beside.Addr().(*net.TCPAddr); ok {
		port = a.Port
	}
	c, err := listen.OpenPacket(beside.Address(), port)
	return c, nil, err
}

func (k itself) WritePID() error { return WritePID(k.server.opt.Plan.Config) }

func (k itself) RemovePID() {
	if err := RemovePID(k.server.opt.Plan.Config); err != nil {
		k.server.log.Error("cannot remove the pidfile", "error", err)
	}
}

func (itself) PID() int                       { return os.Getpid() }
func (itself) Use(int) error                  { return nil }
func (itself) Remember(json.RawMessage) error { return nil }
func (itself) Take() error                    { return errors.New("there is nobody to take from") }

// Commands are all programs that a plan may need to start, by their names. The
// error says which of them cannot be.
func Commands(plan *Plan) (map[string]*supervise.Command, error) {
	all := map[string]*supervise.Command{}
	for _, name := range slices.Sorted(maps.Keys(plan.Config.Apps)) {
		commands, err := appCommands(name, plan)
		if err != nil {
			return nil, err
		}
		for _, c := range commands {
			all[c.Name] = c
		}
	}
	folders, err := cgiCommands(plan)
	if err != nil {
		return nil, err
	}
	for _, c := range folders {
		all[c.Name] = c
	}
	return all, nil
}

// appCommands are the programs of one app.
func appCommands(name string, plan *Plan) ([]*supervise.Command, error) {
	host, err := hostCommand(name, plan)
	if err != nil {
		return nil, err
	}
	beside, err := besideCommands(name, plan)
	if err != nil {
		return nil, err
	}
	return append(beside, host), nil
}

// hostCommand is what runs an app: the program that imports it in Python, or the
// app itself.
func hostCommand(name string, plan *Plan) (*supervise.Command, error) {
	a := plan.Config.Apps[name]
	if a == nil || a.Python == "" && len(a.Command) == 0 {
		return nil, errors.New("app " + name + " has no interpreter") // Plan's promise
	}
	env, rights, err := plan.processes(name)
	if err != nil {
		return nil, err
	}
	if len(a.Command) > 0 {
		return programCommand(name, a, env, rights), mayBind(name, plan.Config)
	}
	host := pool.HostCommand(name, a.Python, a.Dir, env, rights)
	host.Lifeline = true // or an import that never ends would outlive us
	return host, nil
}

// Seal returns the plan as a front is to have it, which starts nothing itself:
// without what is the apps' alone (their environment and secrets, as whom they
// run), and with a digest of each command in their place. It is made with a key,
// so that nobody can try secrets against it.
func (p *Plan) Seal(commands map[string]*supervise.Command, key []byte) (*Plan, error) {
	sealed, cfg := *p, *p.Config
	sealed.Config, sealed.Environ, sealed.Digests = &cfg, nil, map[string]string{}
	sealed.Places = p.places()
	cfg.Apps = map[string]*config.App{}
	for name, a := range p.Config.Apps {
		app := *a
		app.Env, app.EnvFile, app.Secrets, app.Rlimits = nil, nil, nil, nil
		app.User, app.Group, app.Umask, app.Chroot = "", "", "", ""
		app.Attached = map[string]*config.Attached{}
		for of, attached := range a.Attached {
			one := *attached
			one.Env = nil
			app.Attached[of] = &one
		}
		cfg.Apps[name] = &app
	}
	cfg.Sites = sealedSites(cfg.Sites)
	for name, c := range commands {
		b, err := json.Marshal(c)
		if err != nil {
			return nil, fmt.Errorf("cannot describe %s: %w", name, err)
		}
		mac := hmac.New(sha256.New, key)
		mac.Write(b)
		sealed.Digests[name] = hex.EncodeToString(mac.Sum(nil))
	}
	return &sealed, nil
}

// command is a command as the Starter is to have it: of a sealed plan by its
// name alone, with the digest in place of all else, so that two differ when
// what they stand for does.
func (p *Plan) command(c *supervise.Command) *supervise.Command {
	if p.Digests == nil {
		return c
	}
	return &supervise.Command{Name: c.Name, Plan: p.Number, Path: c.Path, Env: []string{"digest=" + p.Digests[c.Name]}}
}

// Addresses are all that a plan listens on.
func (p *Plan) Addresses() []string {
	var all []string
	for _, spec := range frontSpecs(p.Config) {
		all = append(all, spec.address)
	}
	if path := p.control(); path != "" {
		all = append(all, "unix:"+path)
	}
	return all
}

// Packets are the addresses of a plan that have UDP beside.
func (p *Plan) Packets() []string {
	var all []string
	for _, spec := range frontSpecs(p.Config) {
		if spec.tls.http3 {
			all = append(all, spec.address)
		}
	}
	return all
}

// Modes are those of a plan's Unix sockets, by address; of one that is not
// there it is listen's own.
func (p *Plan) Modes() map[string]fs.FileMode {
	all := map[string]fs.FileMode{}
	for _, a := range p.Config.Apps {
		for i := range a.Listen {
			if mode := fileMode(a.Listen[i].Mode); mode != 0 {
				all[a.Listen[i].Address] = mode
			}
		}
	}
	if path := p.control(); path != "" {
		all["unix:"+path] = controlMode
	}
	return all
}

// Rotated are the access logs of a plan that are rotated, and how many older
// ones of each are kept.
func (p *Plan) Rotated() map[string]int {
	all := map[string]int{}
	for i := range p.Config.Sites {
		if c := &p.Config.Sites[i]; c.AccessLog != "" && c.AccessLog != "-" && c.AccessLogMaxSize > 0 {
			all[c.AccessLog] = c.AccessLogKeep
		}
	}
	return all
}

// Logs are the paths of all logs of a plan.
func (p *Plan) Logs() []string {
	all := []string{p.Config.Server.ErrorLog}
	for i := range p.Config.Sites {
		all = append(all, p.Config.Sites[i].AccessLog)
	}
	for _, a := range p.Config.Apps {
		all = append(all, a.SlowLog)
	}
	return slices.DeleteFunc(all, func(path string) bool { return path == "" || path == "-" })
}
