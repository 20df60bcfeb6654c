package server

import (
	"testing"

	"millrace/internal/config"
)

func TestWorkers(t *testing.T) {
	for _, tt := range []struct {
		app  config.App
		want numbers
	}{
		{config.App{Method: "prefork", MinSpare: 2, MaxSpare: 5, MaxChildren: 20}, numbers{2, 5, 20}},
		{config.App{Method: "threaded", Threads: 20, MinSpare: 2, MaxSpare: 5, MaxChildren: 20}, numbers{2, 5, 20}},
		{config.App{Method: "prefork", Threads: 8, MinSpare: 2, MaxSpare: 10, MaxChildren: 4}, numbers{2, 10, 32}},
		{config.App{Method: "prefork", Threads: 8, Workers: 4, MinSpare: 4, MaxSpare: 4, MaxChildren: 4}, numbers{32, 32, 32}},
		{config.App{Method: "cgi", MinSpare: 2, MaxSpare: 5, MaxChildren: 20}, numbers{2, 5, 20}},
	} {
		if got := workers(&tt.app); got != tt.want {
			t.Errorf("%s, %d threads, %d workers: %+v, want %+v", tt.app.Method, tt.app.Threads, tt.app.Workers, got, tt.want)
		}
	}
}
