//go:build unix

package main

// This file: serve as two processes, a keeper (this one) and the front that it
// starts, which is the hidden command in front.go.

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"

	"millrace/internal/keeper"
	"millrace/internal/server"
	"millrace/internal/systemd"
)

// keep keeps a front that serves what f says, until it ends.
func keep(ctx context.Context, f *serveFlags, stdout, stderr io.Writer) error {
	inherited, err := keeper.ReadState()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	signals := make(chan os.Signal, 8)
	listen := func() {
		signal.Notify(signals, syscall.SIGTERM, os.Interrupt, syscall.SIGQUIT, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2)
	}
	listen()
	defer signal.Stop(signals)
	h := &keeperSignals{cancel: cancel, reloadAtUSR1: f.foreign.reloadAtUSR1(f.target)}
	go h.run(signals)

	debug.SetGCPercent(keeperGC)
	program, err := ownProgram()
	if err != nil {
		return err
	}
	sd := systemd.Take()
	p := &keptPlan{load: f.plan, key: make([]byte, 32), systemd: sd}
	_, _ = rand.Read(p.key) // which never fails
	if inherited != nil {
		p.key = inherited.Key // or the workers of the old front would seem to be another app's
		if o := inherited.Serving(); o != nil {
			if err := json.Unmarshal(o, &f.serving); err != nil {
				return err
			}
		}
	}
	first, err := p.next(ctx)
	switch {
	case ctx.Err() != nil && inherited == nil:
		return &failure{"stopped by a signal before anything was served", ""}
	case err != nil && inherited == nil:
		return err
	case err != nil:
		report(stderr, err) // the old front serves on
		first = nil
	}
	unloaded := err
	path := ""
	if p.found != nil {
		path = p.found.Config.Server.ErrorLog
	}
	log, err := openErrorLog(path, stderr)
	if err != nil {
		return err
	}
	defer log.close()
	if p.found != nil {
		say(p.found, log)
		if os.Geteuid() == 0 && p.found.Config.Server.User == "" && p.found.Config.Loaded() {
			log.logger().Warn("requests are parsed as root; name another user under [server]: user = \"www-data\"")
		}
	}
	k := keeper.New(keeper.Options{
		Load:    p.next,
		Key:     p.key,
		Signals: listen,
		Program: program, Args: os.Args, Front: []string{"front"}, Trial: []string{"front", "--trial"},
		Env:    append(frontEnviron(os.Environ()), frontWatchdog(sd)...),
		Stdout: streamOf(stdout), Stderr: streamOf(stderr),
		Log:     log.logger(),
		Systemd: sd.Socket,
		NextEnv: sd.Environ(), NextFiles: sd.Descriptors(),
		Notify:   notifyFor(sd, func(problem string, err error) { log.logger().Error(problem, "error", err) }),
		WritePID: func() error { return server.WritePID(p.get().Config) },
		RemovePID: func() {
			if p.get() == nil { // a program that never could load it: it is the old one's
				return
			}
			if err := server.RemovePID(p.get().Config); err != nil {
				log.logger().Error("cannot remove the pidfile", "error", err)
			}
		},
		Serving: func(status json.RawMessage) error {
			s := new(server.Status)
			if err := json.Unmarshal(status, s); err != nil {
				return err
			}
			return banner(stdout, p.get(), s)
		},
	})
	h.serve(k, log)
	status, err := k.Run(context.WithoutCancel(ctx), first, inherited, unloaded)
	switch {
	case err != nil:
		return err
	case status != 0:
		return &exitStatus{status} // the front has said why
	}
	return nil
}

// keeperGC is how much a keeper's heap may grow before it is collected, in
// percent: it has little to do, and on a small machine each of its megabytes is
// one less for the app.
const keeperGC = 25

// keptPlan loads plans for the keeper, and remembers the newest.
type keptPlan struct {
	load    func(context.Context) (*found, error)
	key     []byte // of the digests that a front gets
	systemd *systemd.Service

	mu    sync.Mutex
	found *found
}

func (p *keptPlan) get() *found {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.found
}

// next loads a plan, with all that a front may ask for, and seals it.
func (p *keptPlan) next(ctx context.Context) (*keeper.Loaded, error) {
	f, err := p.load(ctx)
	if err != nil {
		return nil, err
	}
	f.plan.Notes = append(f.plan.Notes, unheard(p.systemd, f.plan.Addresses())...)
	loaded := &keeper.Loaded{Addresses: f.plan.Addresses(), Modes: f.plan.Modes(), Logs: f.plan.Logs(), Files: f.plan.Files(), Packets: f.plan.Packets(), Rotated: f.plan.Rotated()}
	if loaded.Commands, err = server.Commands(f.plan); err != nil {
		return nil, err
	}
	if loaded.Rights, err = f.plan.FrontRights(); err != nil {
		return nil, err
	}
	sealed, err := f.plan.Seal(loaded.Commands, p.key)
	if err != nil {
		return nil, err
	}
	if loaded.Front, err = json.Marshal(sealed); err != nil {
		return nil, err
	}
	if loaded.Origin, err = json.Marshal(originOf(f.Found)); err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.found = f
	go debug.FreeOSMemory() // a load is most of what a keeper ever allocates
	return loaded, nil
}

// keeperSignals acts on signals from before the keeper is there to its end.
type keeperSignals struct {
	cancel context.CancelFunc // ends a look at the project

	// reloadAtUSR1: what is served is of a server whose operators reload by USR1.
	reloadAtUSR1 bool

	mu     sync.Mutex
	keeper *keeper.Keeper
	log    *errorLog
	early  []os.Signal // that came before
}

func (h *keeperSignals) serve(k *keeper.Keeper, log *errorLog) {
	h.mu.Lock()
	h.keeper, h.log = k, log
	early := h.early
	h.mu.Unlock()
	go func() {
		for _, sig := range early {
			h.act(sig)
		}
	}()
}

func (h *keeperSignals) run(signals <-chan os.Signal) {
	for sig := range signals {
		h.act(sig)
	}
}

func (h *keeperSignals) act(sig os.Signal) {
	h.mu.Lock()
	k, log := h.keeper, h.log
	if k == nil {
		h.early = append(h.early, sig)
	}
	h.mu.Unlock()
	switch {
	case sig == syscall.SIGQUIT: // nginx's word for a stop that lets requests end, which is any of ours
		sig = syscall.SIGTERM
	case sig == syscall.SIGUSR1 && h.reloadAtUSR1:
		sig = syscall.SIGHUP
	}
	if sig == syscall.SIGTERM || sig == os.Interrupt {
		h.cancel()
	}
	if k == nil {
		return
	}
	switch sig {
	case syscall.SIGUSR2:
		k.UpgradeSelf()
		return
	case syscall.SIGUSR1, syscall.SIGHUP: // a reload opens the logs anew, as it does with every server
		if err := log.reopen(); err != nil {
			log.logger().Error("cannot open the error log anew; the old one is kept", "error", err)
		}
	}
	k.Signal(sig.(syscall.Signal))
}

// ownProgram is the file that this program was started from, by the name that
// a new one will have.
func ownProgram() (string, error) {
	if strings.ContainsRune(os.Args[0], filepath.Separator) {
		return filepath.Abs(os.Args[0])
	}
	if path, err := exec.LookPath(os.Args[0]); err == nil {
		return filepath.Abs(path)
	}
	return os.Executable()
}

// streamOf is a stream as a front can have it: nil for what is no file.
func streamOf(w io.Writer) *os.File {
	f, _ := w.(*os.File)
	return f
}
