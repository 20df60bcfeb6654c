package certs

// What certmagic has to say, in our log.

import (
	"context"
	"fmt"
	"log/slog"
	"slices"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// event says how it stands with a certificate.
func (a *ACME) event(_ context.Context, event string, data map[string]any) error {
	what := "a certificate"
	if renewal, _ := data["renewal"].(bool); renewal {
		what = "the renewal of a certificate"
	}
	host := fmt.Sprint(data["identifier"])
	switch event {
	case "cert_obtaining":
		a.log.Info("asking for "+what, "host", host)
	case "cert_obtained":
		a.log.Info("got "+what, "host", host, "from", fmt.Sprint(data["issuer"]))
	case "cert_failed":
		err, _ := data["error"].(error)
		a.log.Error("cannot get "+what+"; it is tried again by itself", "host", host, "error", reason(err))
	}
	return nil
}

// reason is why there is no certificate: of certmagic's words the last, which
// are the authority's own, if it has said something.
func reason(err error) string {
	if err == nil {
		return "it is not known why"
	}
	return err.Error()
}

// said are messages of certmagic's that event says better, or that any client
// can bring about.
var said = []string{
	"will retry", "job failed", "could not get certificate from issuer", "renewing certificate in background", "tls-alpn challenge",
	"looking up info for HTTP challenge", "challenge failed", "validating authorization", "solving challenges",
}

// toSlog passes zap's entries on: errors as warnings, unless event says them,
// and all else for debugging.
type toSlog struct {
	log    *slog.Logger
	fields []zapcore.Field
}

func zapLogger(log *slog.Logger) *zap.Logger { return zap.New(&toSlog{log: log}) }

// Enabled is zapcore.Core's.
func (c *toSlog) Enabled(l zapcore.Level) bool {
	return l >= zapcore.ErrorLevel || c.log.Enabled(context.Background(), slog.LevelDebug)
}

// With is zapcore.Core's.
func (c *toSlog) With(fields []zapcore.Field) zapcore.Core {
	return &toSlog{c.log, slices.Concat(c.fields, fields)}
}

// Check is zapcore.Core's.
func (c *toSlog) Check(e zapcore.Entry, to *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return to.AddCore(e, c)
	}
	return to
}

// Write is zapcore.Core's.
func (c *toSlog) Write(e zapcore.Entry, fields []zapcore.Field) error {
	level := slog.LevelDebug
	if e.Level >= zapcore.ErrorLevel && !slices.Contains(said, e.Message) {
		level = slog.LevelWarn
	}
	values := zapcore.NewMapObjectEncoder()
	for _, f := range slices.Concat(c.fields, fields) {
		f.AddTo(values)
	}
	var args []any
	for name, v := range values.Fields {
		args = append(args, slog.Any(name, v))
	}
	c.log.Log(context.Background(), level, "certificates: "+e.Message, args...)
	return nil
}

// Sync is zapcore.Core's.
func (c *toSlog) Sync() error { return nil }
