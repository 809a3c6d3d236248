package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"

	"github.com/vcmalloc/vcmalloc/internal/rtfree"
)

// options are the command line.
type options struct {
	in, out string
	stub    string // Go symbol; empty: there is none
	entries []rtfree.Entry
	verbose bool
}

func main() {
	o, err := parse(os.Args[1:])
	if err == nil {
		err = run(o)
	}
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "frames:", err)
		os.Exit(1)
	}
}

func parse(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("frames", flag.ContinueOnError)
	flags.StringVar(&o.in, "in", "", "the `object` that the link tool wrote")
	flags.StringVar(&o.out, "out", "", "the assembly `source` to write")
	flags.StringVar(&o.stub, "stub", "", "Go `symbol` that the runtime's panic functions jump to; none if empty")
	flags.BoolVar(&o.verbose, "v", false, "say what was done")
	flags.Func("entries", "`file` of entry points, lines `gosymbol cname`; may be repeated", func(path string) error {
		entries, err := rtfree.ReadEntries(path)
		o.entries = append(o.entries, entries...)
		return err
	})
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if o.in == "" || o.out == "" || flags.NArg() > 0 {
		return o, errors.New("want -in core.o -out frames.S and no other arguments")
	}
	if len(o.entries) == 0 {
		return o, errors.New("no entry points: give -entries")
	}
	return o, nil
}

func run(o options) error {
	img, err := load(o.in)
	if err != nil {
		return err
	}
	functions, err := reach(img, o.entries, o.stub)
	if err != nil {
		return err
	}
	var source bytes.Buffer
	size := emit(&source, img.byName[o.entries[0].C], functions)
	if o.verbose {
		fmt.Printf("frames: %d functions, %d bytes\n", len(functions), size)
	}
	return os.WriteFile(o.out, source.Bytes(), 0o644)
}
