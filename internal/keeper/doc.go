// Package keeper parts a server in two processes: a small one that has rights,
// and one that serves.
//
// The keeper owns the process id that people and supervisors know, the
// configuration, the sockets, the logs and the pidfile, and is the parent of
// every process of the apps. It parses nothing that comes from the network. The
// front (Client, in another process of the same program) accepts connections
// and answers requests; it may run as a user who has no rights at all, and asks
// the keeper for what it needs: a socket, a log, a process. It gets only what
// the configuration says: commands are asked for by their names, addresses and
// paths must be those of a plan that the keeper itself has loaded.
//
// If the front dies, the keeper starts another one on the same sockets: who
// connects meanwhile waits. If the keeper dies, the front ends, and with it the
// apps.
//
// # An upgrade
//
// The keeper executes its program's file anew, in place: its process id, its
// sockets and its children stay, and a state on a descriptor (state.go) tells
// the new program what it has. The front of the old program serves on
// meanwhile, beside the keeper of the new one, which starts a front of its own;
// the old front gives its workers to that (package pool), and when the new one
// serves, answers what it has and ends. A program that cannot start is found by
// a trial before, and one whose front cannot serve leaves the old front
// serving.
package keeper
