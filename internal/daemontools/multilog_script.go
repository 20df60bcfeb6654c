package daemontools

// This file: the script of multilog, which is its arguments.

// action is one of them. The kind is its first byte.
type action struct {
	kind    byte
	pattern string // of '+' and '-'
	index   int    // of '=' among the status files, of '.' among the folders
}

// logFolder is what a script says of a rotated log.
type logFolder struct {
	path      string
	size      int64 // of current, at most
	keep      int   // finished files, at most
	processor string
}

// script is what multilog is to do.
type script struct {
	stamp   bool // each line begins with a time
	actions []action
	files   []string // that hold the last line
	folders []logFolder
}

// Bounds and defaults of a log.
const (
	leastSize   = 4096
	mostSize    = 16777215
	defaultSize = 99999
	leastKeep   = 2
	defaultKeep = 10
)

// parseScript reads the arguments of multilog. Like the original it takes any:
// an action that is none does nothing, and what a number cannot be is bounded.
func parseScript(args []string) script {
	s := script{stamp: len(args) > 0 && args[0] != "" && args[0][0] == 't'}
	next := logFolder{size: defaultSize, keep: defaultKeep}
	for _, arg := range args {
		if arg == "" {
			continue
		}
		a := action{kind: arg[0]}
		switch a.kind {
		case '+', '-':
			a.pattern = arg[1:]
		case 'e':
		case '=':
			a.index = len(s.files)
			s.files = append(s.files, arg[1:])
		case 's':
			n, _ := leadingNumber(arg[1:])
			next.size = int64(min(max(n, leastSize), mostSize))
			continue
		case 'n':
			n, _ := leadingNumber(arg[1:])
			next.keep = int(min(max(n, leastKeep), 1<<31))
			continue
		case '!':
			next.processor = arg[1:]
			continue
		case '.', '/':
			a.kind, a.index = '.', len(s.folders)
			f := next
			f.path = arg
			s.folders = append(s.folders, f)
		default:
			continue
		}
		s.actions = append(s.actions, a)
	}
	return s
}

// leadingNumber is the number that text begins with, 0 if with none, and how
// many digits it has. It wraps where the original's does, at 64 bits.
func leadingNumber(text string) (n uint64, digits int) {
	for digits < len(text) && text[digits] >= '0' && text[digits] <= '9' {
		n = n*10 + uint64(text[digits]-'0')
		digits++
	}
	return n, digits
}
