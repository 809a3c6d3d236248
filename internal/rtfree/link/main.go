// Command link turns the go.o of a c-archive into an object that C can link while the Go runtime stays
// dormant (DESIGN.md, section 2):
//
//	go run ./internal/rtfree/link -in go.o -out core.o -entries cgo/entries.txt \
//		-stub github.com/vcmalloc/vcmalloc/internal/sys.PanicStub
//
// It does three things:
//
//   - removes .init_array, which would start the runtime, and every relocation of static data, which the
//     dynamic loader would apply in each process although nobody reads that data;
//   - gives each entry point a global name, and runtime.tlsg, the thread's g slot, the name go_tlsg;
//   - overwrites the start of each panic function of the runtime with a jump to the stub, so that a failed
//     bounds check ends in a message. Calls within .text are already resolved in go.o, and so the functions
//     themselves must change: renaming their symbols would do nothing.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/vcmalloc/vcmalloc/internal/rtfree"
)

// options are the command line.
type options struct {
	in, out string
	stub    string // Go symbol; empty: don't patch
	tlsg    string // global name of runtime.tlsg
	objcopy string
	verbose bool
	entries []rtfree.Entry
}

func main() {
	o, err := parse(os.Args[1:])
	if err == nil {
		err = run(o)
	}
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "link:", err)
		os.Exit(1)
	}
}

func parse(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("link", flag.ContinueOnError)
	flags.StringVar(&o.in, "in", "", "the `go.o` of a c-archive")
	flags.StringVar(&o.out, "out", "", "the `object` to write")
	flags.StringVar(&o.stub, "stub", "", "Go `symbol` that the runtime's panic functions jump to; none if empty")
	flags.StringVar(&o.tlsg, "tlsg", "go_tlsg", "global `name` of the thread's g slot")
	flags.StringVar(&o.objcopy, "objcopy", "objcopy", "the objcopy `program`")
	flags.BoolVar(&o.verbose, "v", false, "say what was done")
	flags.Func("entries", "`file` of entry points, lines `gosymbol cname`; may be repeated", func(path string) error {
		entries, err := rtfree.ReadEntries(path)
		o.entries = append(o.entries, entries...)
		return err
	})
	flags.Func("entry", "one entry point, `gosymbol=cname`; may be repeated", func(s string) error {
		entries, err := rtfree.ParseEntries(strings.NewReader(s))
		o.entries = append(o.entries, entries...)
		return err
	})
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if o.in == "" || o.out == "" || flags.NArg() > 0 {
		return o, errors.New("want -in go.o -out core.o and no other arguments")
	}
	if len(o.entries) == 0 {
		return o, errors.New("no entry points: give -entries or -entry")
	}
	return o, nil
}

// run patches a copy of the object beside the output and has objcopy write the output from it.
func run(o options) error {
	obj, err := open(o.in)
	if err != nil {
		return err
	}
	rename, err := obj.renames(o)
	if err != nil {
		return err
	}
	if o.stub != "" {
		patched, err := obj.redirectPanics(o.stub)
		if err != nil {
			return err
		}
		if o.verbose {
			fmt.Printf("link: %d panic functions jump to %s: %s\n", len(patched), o.stub, strings.Join(patched, " "))
		}
	}
	temp := o.out + ".tmp"
	if err := os.WriteFile(temp, obj.data, 0o644); err != nil {
		return err
	}
	defer os.Remove(temp)
	args := []string{"--remove-section=.init_array"}
	dropped := obj.dataRelocations()
	for _, name := range dropped {
		args = append(args, "--remove-section="+name)
	}
	args = append(append(args, rename...), temp, o.out)
	if out, err := exec.Command(o.objcopy, args...).CombinedOutput(); err != nil {
		os.Remove(o.out)
		return fmt.Errorf("%s: %w\n%s", o.objcopy, err, out)
	}
	if o.verbose {
		fmt.Printf("link: dropped %s; %d entry points\n", strings.Join(dropped, " "), len(o.entries))
	}
	return nil
}
