// Package child is the program that takes one sample: a process of its own, so that no other sample's heap is in it.
package child

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"runtime"
	"slices"
	"time"

	"github.com/quorate-raft/raft/bench/core"
)

// Library is a core.Library whatever its messages are.
type Library struct {
	// Name is what the tables call it.
	Name string
	// Rows are those that it can do; nil means all.
	Rows []string
	work func(key string) (*core.Work, error)
}

// Of returns lib, which can do rows.
func Of[M any](lib core.Library[M], rows ...string) Library {
	return Library{Name: lib.Name(), Rows: rows, work: func(key string) (*core.Work, error) { return core.NewWork(lib, key) }}
}

// Does reports whether the library can do the row of that key.
func (l Library) Does(key string) bool { return l.Rows == nil || slices.Contains(l.Rows, key) }

// Main takes the sample that args ask for, of one of libs, and writes it to out as JSON.
//
//	-lib NAME -row KEY [-time DURATION | -n OPERATIONS] [-cpuprofile FILE] [-memprofile FILE]
func Main(out io.Writer, args []string, libs ...Library) error {
	flags := flag.NewFlagSet("sample", flag.ContinueOnError)
	name := flags.String("lib", "", "the library")
	key := flags.String("row", "", "the key of the row")
	length := flags.Duration("time", 200*time.Millisecond, "how long to repeat the work")
	n := flags.Int("n", 0, "how often to repeat the work, instead of for a time")
	cpu := flags.String("cpuprofile", "", "where to write a profile of the processor")
	mem := flags.String("memprofile", "", "where to write a profile of what was allocated")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *mem != "" {
		runtime.MemProfileRate = 4096
	}
	i := slices.IndexFunc(libs, func(l Library) bool { return l.Name == *name })
	if i < 0 || !libs[i].Does(*key) {
		return fmt.Errorf("library %q does not do row %q", *name, *key)
	}
	work, err := libs[i].work(*key)
	if err != nil {
		return fmt.Errorf("%s, %s: %w", *name, *key, err)
	}
	stop, err := Profile(*cpu, *mem)
	if err != nil {
		return err
	}
	var s core.Sample
	if *n > 0 {
		s, err = core.Repeat(work, *n)
	} else {
		s, err = core.Measure(work, *length)
	}
	if err := errors.Join(err, stop()); err != nil {
		return fmt.Errorf("%s, %s: %w", *name, *key, err)
	}
	return json.NewEncoder(out).Encode(s)
}
