// Package worker carries the Python side of millrace: real .py files under
// millrace_worker, embedded in the binary, that need nothing but a CPython
// (3.8 or newer) or PyPy and its standard library.
//
// Nothing is written to disk to run them. Program returns one self-contained
// source text; the interpreter reads it from its standard input:
//
//	cmd := exec.Command(python, "-c", worker.Bootstrap, "label", args...)
//	cmd.Stdin = bytes.NewReader(worker.Program("host"))
//
// The text holds every file of the package and a loader, so that the entry
// module and what it imports are ordinary modules named millrace_worker.NAME,
// with sources that tracebacks can quote.
package worker

import (
	"embed"
	"fmt"
	"strconv"
	"strings"
)

//go:embed millrace_worker/*.py
var files embed.FS

// Bootstrap is the argument of the interpreter's -c. It runs the program that
// arrives on standard input, and leaves standard input at end of file.
const Bootstrap = "import sys; exec(compile(sys.stdin.buffer.read(), '<millrace>', 'exec'))"

// Program returns the source text that runs millrace_worker.ENTRY's main().
// An entry that does not exist is a programming error and panics.
func Program(entry string) []byte {
	if _, err := files.Open("millrace_worker/" + entry + ".py"); err != nil {
		panic(fmt.Sprintf("worker: no entry %q: %v", entry, err))
	}
	names, err := files.ReadDir("millrace_worker")
	if err != nil {
		panic("worker: " + err.Error()) // an embedded folder always reads
	}
	loader, err := files.ReadFile("millrace_worker/loader.py")
	if err != nil {
		panic("worker: " + err.Error())
	}
	var b strings.Builder
	b.Write(loader)
	b.WriteString("\nrun({\n")
	for _, f := range names {
		text, err := files.ReadFile("millrace_worker/" + f.Name())
		if err != nil {
			panic("worker: " + err.Error())
		}
		// A quoted Go string in ASCII is a Python literal with the same value.
		fmt.Fprintf(&b, "    %q: %s,\n", strings.TrimSuffix(f.Name(), ".py"), strconv.QuoteToASCII(string(text)))
	}
	fmt.Fprintf(&b, "}, %q)\n", entry)
	return []byte(b.String())
}
