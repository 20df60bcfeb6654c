package server

import "millrace/internal/config"

// numbers are how many workers an app has, as a pool counts them.
type numbers struct{ minSpare, maxSpare, maxChildren int }

// workers counts an app's workers. Where prefork has threads, a worker is a
// thread of one of max_children processes.
func workers(a *config.App) numbers {
	n := numbers{a.MinSpare, a.MaxSpare, a.MaxChildren}
	if a.Method == "prefork" && a.Threads > 0 {
		n.maxChildren *= a.Threads
		if a.Workers > 0 { // so many processes, and all of their threads
			n.minSpare, n.maxSpare = n.maxChildren, n.maxChildren
		}
	}
	return n
}
