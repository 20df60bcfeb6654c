//go:build unix

package main

// This file: the front of a keeper (keep.go), a server that has no rights of
// its own.

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"

	"github.com/spf13/cobra"

	"millrace/internal/keeper"
	"millrace/internal/server"
)

func frontCommand() *cobra.Command {
	trial := false
	cmd := &cobra.Command{
		Use:    "front",
		Short:  "What the keeper of millrace serve starts",
		Hidden: true,
		Args:   atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if trial {
				_, err := fmt.Fprintln(cmd.OutOrStdout(), keeper.Trial())
				return err
			}
			return serveFront(cmd.Context())
		},
	}
	cmd.Flags().BoolVar(&trial, "trial", false, "say that the program starts, and end")
	return cmd
}

// kept is the keeper as a server has it.
type kept struct{ *keeper.Client }

var _ server.Keeper = kept{}

func (k kept) PID() int   { return k.Begin().PID }
func (k kept) RemovePID() {} // the keeper does, at its own end

// serveFront serves what the keeper says.
func serveFront(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	h := handleSignals(cancel)
	defer h.end()
	batchThreads()
	tuneMemory()
	go giveBack(ctx)

	client, err := keeper.Connect(os.NewFile(keeper.FrontFile, "the keeper's"))
	if err != nil {
		return &failure{err.Error(), "this command is for millrace serve alone"}
	}
	begin := client.Begin()
	plan, err := sealedPlan(begin.Plan, begin.Body)
	if err != nil {
		return err
	}
	var srv atomic.Pointer[server.Server]
	go client.Run(keeper.Events{
		HandOver: func(to map[string]*os.File) {
			if s := srv.Load(); s != nil {
				s.HandOver(to)
			}
		},
		Resume: func() {
			if s := srv.Load(); s != nil {
				s.Resume()
			}
		},
		Retire: func() {
			if s := srv.Load(); s != nil {
				s.Retire()
			}
		},
		Upgrade: func() {
			if s := srv.Load(); s != nil {
				go s.Upgrade(ctx) // how it went the keeper logs
			}
		},
		Gone: func() { // whoever watches the keeper starts all anew
			fmt.Fprintln(os.Stderr, "millrace: the keeper is gone; the front answers what it has, and ends")
			if s := srv.Load(); s != nil {
				s.Orphan()
			}
			cancel()
		},
	})
	log, err := openErrorLogBy(plan.Config.Server.ErrorLog, os.Stderr, client.OpenLog)
	if err != nil {
		return err
	}
	defer log.close()
	slog.SetDefault(log.logger()) // what package net/http says of a back end has no other way
	o := server.Options{
		Plan: plan,
		Load: func(ctx context.Context) (*server.Plan, error) {
			number, body, err := client.Load(ctx)
			if err != nil {
				return nil, err
			}
			return sealedPlan(number, body)
		},
		Log: log.logger(), Version: version, Keeper: kept{client}, Supervisor: kept{client},
		Upgrade:  client.Upgrade,
		Stopping: func() { _ = client.Stop() }, // which fails when the keeper is gone: the front ends by that
		Memory:   begin.Memory,
	}
	if begin.Follow {
		o.Handed = begin.Handed
	}
	s := server.New(o)
	srv.Store(s)
	h.serving.Store(&handled{ctx, s, log, log.logger(), nil})
	said := make(chan error, 1)
	ended := make(chan struct{})
	go func() {
		err := tellServing(ctx, client, s, ended)
		if err != nil {
			cancel()
		}
		said <- err
	}()
	err = s.Run(ctx)
	cancel()
	close(ended)
	if refused := <-said; refused != nil {
		err = refused
	}
	if err != nil && begin.Follow {
		_ = client.Fail(err) // for whoever has asked for the upgrade
	}
	return err
}

// tellServing tells the keeper when every address is open and each app serves
// or has failed; of a front that follows another, each serves then.
func tellServing(ctx context.Context, client *keeper.Client, s *server.Server, ended <-chan struct{}) error {
	select {
	case <-s.Started():
	case <-ended:
		return nil
	}
	status := s.Snapshot()
	if ctx.Err() != nil || status.State != "serving" {
		return nil // it was stopped while it started
	}
	body, err := json.Marshal(status)
	if err != nil {
		return err
	}
	return client.Serving(body)
}

func sealedPlan(number int, body json.RawMessage) (*server.Plan, error) {
	p := new(server.Plan)
	if err := json.Unmarshal(body, p); err != nil {
		return nil, fmt.Errorf("cannot read the keeper's plan: %w", err)
	}
	p.Number = number
	return p, nil
}
