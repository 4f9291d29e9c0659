package load

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/quorate-raft/raft/bench/child"
)

// Flags registers the flags that say what a sample is of.
func (o *Options) Flags(flags *flag.FlagSet) {
	flags.IntVar(&o.Size, "size", 128, "`bytes` of each write, at least 8")
	flags.DurationVar(&o.Span, "time", 5*time.Second, "`time` that is measured")
	flags.DurationVar(&o.Warm, "warm", time.Second, "`time` before that")
	flags.StringVar(&o.Dir, "dir", "", "`directory` for the logs, on the disk to be measured; default: that for temporary files")
}

// Validate says what is wrong with the options.
func (o *Options) Validate() error {
	if o.Writers < 1 || o.Size < 8 || o.Span <= 0 || o.Warm < 0 {
		return fmt.Errorf("writers (%d) must be at least 1, size (%d) 8, time (%v) above 0, warm (%v) at least 0",
			o.Writers, o.Size, o.Span, o.Warm)
	}
	return nil
}

// Main takes the sample that args ask for, of one of libs, and writes it to out as JSON.
//
//	-lib NAME -writers N [-size BYTES] [-time DURATION] [-warm DURATION] [-dir DIRECTORY] [-cpuprofile FILE] [-memprofile FILE]
func Main(ctx context.Context, out io.Writer, args []string, libs ...Library) error {
	var o Options
	flags := flag.NewFlagSet("sample", flag.ContinueOnError)
	o.Flags(flags)
	name := flags.String("lib", libs[0].Name, "the library")
	flags.IntVar(&o.Writers, "writers", 1, "how many write at the same time")
	cpu := flags.String("cpuprofile", "", "where to write a profile of the processor")
	mem := flags.String("memprofile", "", "where to write a profile of what was allocated")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if err := o.Validate(); err != nil {
		return err
	}
	i := slices.IndexFunc(libs, func(l Library) bool { return l.Name == *name })
	if i < 0 {
		return fmt.Errorf("there is no library %q", *name)
	}
	if *cpu != "" || *mem != "" {
		o.Profiled = func() (func() error, error) { return child.Profile(*cpu, *mem) }
	}
	s, err := Measure(ctx, libs[i], o)
	if err != nil {
		return fmt.Errorf("%s, %d writers: %w", *name, o.Writers, err)
	}
	return json.NewEncoder(out).Encode(s)
}
