package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/quorate-raft/raft/bench/child"
	"github.com/quorate-raft/raft/bench/endtoend/ours"
	"github.com/quorate-raft/raft/bench/load"
	"github.com/quorate-raft/raft/bench/report"
)

// options say what is compared.
type options struct {
	load.Options
	writers    []int
	libs       []string
	storage    string
	logdb      string
	rounds     int
	processors int
	quiet      float64
	short      bool
	profile    string
}

// allWriters are the numbers of writers of the table.
var allWriters = []int{1, 16, 64, 256}

func parseOptions(args []string) (o options, err error) {
	flags := flag.NewFlagSet("endtoend", flag.ContinueOnError)
	o.Flags(flags)
	writers := flags.String("writers", "1,16,64,256", "how many writers there are: `numbers`, one row for each")
	libs := flags.String("libs", strings.Join(keys(), ","), "which `libraries` to measure")
	flags.StringVar(&o.storage, "storage", ours.DefaultStorage, "`storage` of ours: "+strings.Join(ours.Storages(), ", "))
	flags.StringVar(&o.logdb, "logdb", "tan", "log `database` of dragonboat: tan, pebble")
	flags.IntVar(&o.rounds, "rounds", 6, "how many samples to take of each row and library")
	flags.IntVar(&o.processors, "processors", 2, "GOMAXPROCS of each sample")
	flags.Float64Var(&o.quiet, "quiet", 0.2, "take a sample again if others took more than this `part` of the processors' time")
	flags.BoolVar(&o.short, "short", false, "take short samples, and write no files")
	flags.StringVar(&o.profile, "cpuprofile", "", "write a profile of one library and row to this `file`, and no results")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	for _, s := range strings.Split(*writers, ",") {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			return o, fmt.Errorf("-writers: %q is not a number of writers", s)
		}
		o.writers = append(o.writers, n)
	}
	o.libs = strings.Split(*libs, ",")
	for _, l := range o.libs {
		if !slices.Contains(keys(), l) {
			return o, fmt.Errorf("-libs: %q is none of %v", l, keys())
		}
	}
	if !slices.Contains(ours.Storages(), o.storage) {
		return o, fmt.Errorf("-storage: %q is none of %v", o.storage, ours.Storages())
	}
	if o.logdb != "tan" && o.logdb != "pebble" {
		return o, fmt.Errorf("-logdb: %q is neither tan nor pebble", o.logdb)
	}
	if o.short {
		o.quiet, o.rounds, o.Span, o.Warm = 1, 2, 800*time.Millisecond, 200*time.Millisecond
	}
	if o.profile != "" {
		o.rounds, o.quiet = 1, 1
		if len(o.libs) != 1 || len(o.writers) != 1 {
			return o, errors.New("-cpuprofile needs one library in -libs and one number in -writers")
		}
	}
	if o.rounds < 1 || o.processors < 1 || flags.NArg() > 0 {
		return o, errors.New("-rounds and -processors must be at least 1, and there are no arguments")
	}
	o.Writers = slices.Min(o.writers)
	return o, o.Validate()
}

// partial reports whether this is not what results are written from.
func (o options) partial() bool {
	return o.short || o.profile != "" || len(o.libs) < len(libraries) || !slices.Equal(o.writers, allWriters) || o.Size != 128 || o.processors != 2
}

// about says how, where and when the samples are taken.
func (o options) about() string {
	return fmt.Sprintf("Three members in one process, GOMAXPROCS=%d, writes of %d B, ours with storage %s, dragonboat with %s. Medians of %d samples of %v, "+
		"the libraries in turn: %s, %s, %s, load average %s at the start.", o.processors, o.Size, o.storage, o.logdb, o.rounds, o.Span,
		report.Machine(), runtime.Version(), time.Now().Format(time.DateOnly), load.LoadAverage())
}

// compare takes samples of every library in turn, prints the table, and writes the files.
func compare(ctx context.Context, out io.Writer, args []string) error {
	o, err := parseOptions(args)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "endtoend")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	p, err := newPrograms(ctx, dir, o)
	if err != nil {
		return err
	}
	r := record{About: o.about()}
	for _, n := range o.writers {
		started := time.Now()
		samples, err := child.InTurn(o.rounds, p.titles(), func(title string) (load.Sample, error) {
			return p.sample(ctx, title, n, o)
		})
		if err != nil {
			return err
		}
		r.Results = append(r.Results, report.HostResult{Writers: n, Samples: samples})
		fmt.Fprintf(os.Stderr, "%3d writers: %.0f s\n", n, time.Since(started).Seconds())
	}
	fmt.Fprint(out, r.tables())
	if o.partial() {
		return nil
	}
	return r.write()
}
