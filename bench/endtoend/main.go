// Command endtoend measures writes through a whole host: three replicas in one process, with package replica, pebblestore
// on disk, every write synced, and TCP on loopback. Writers write 128 bytes each, one after the other.
//
//	go -C bench/endtoend run .              # 1, 16, 64 and 256 writers
//	go -C bench/endtoend run . -writers 64 -time 10s -cpuprofile cpu.prof
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "endtoend:", err)
		os.Exit(1)
	}
}

type options struct {
	writers []int
	size    int
	span    time.Duration
	warm    time.Duration
	dir     string
	profile string
}

func parse(args []string) (o options, err error) {
	flags := flag.NewFlagSet("endtoend", flag.ContinueOnError)
	writers := flags.String("writers", "1,16,64,256", "how many writers there are: `numbers`, one run for each")
	flags.IntVar(&o.size, "size", 128, "`bytes` of each write")
	flags.DurationVar(&o.span, "time", 5*time.Second, "`time` that is measured")
	flags.DurationVar(&o.warm, "warm", time.Second, "`time` before that")
	flags.StringVar(&o.dir, "dir", "", "`directory` for the logs, on the disk to be measured; default: that for temporary files")
	flags.StringVar(&o.profile, "cpuprofile", "", "write a profile to this `file`")
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
	if o.size < 0 || o.span <= 0 || o.warm < 0 || flags.NArg() > 0 {
		return o, errors.New("-size, -time and -warm must be positive, and there are no arguments")
	}
	return o, nil
}

func run(ctx context.Context, args []string, out io.Writer) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(o.dir, "endtoend")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	floor, err := measureFloors(dir, 500)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%d members, %d B, synced; %s/%s, %d processors; floor: sync %v + round trip %v = %v\n",
		members, o.size, runtime.GOOS, runtime.GOARCH, runtime.GOMAXPROCS(0), floor.sync, floor.roundTrip, floor.write())
	if o.profile != "" {
		f, err := os.Create(o.profile)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	fmt.Fprintf(out, "%8s %10s %10s %10s %12s %10s\n", "writers", "writes/s", "p50", "p99", "CPU/write", "p50/floor")
	for _, n := range o.writers {
		r, err := measure(ctx, dir, n, o)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%8d %10.0f %10v %10v %12v %10.2f\n", r.writers, r.rate(), r.p50.Round(time.Microsecond),
			r.p99.Round(time.Microsecond), r.cpu.Round(100*time.Nanosecond), float64(r.p50)/float64(floor.write()))
	}
	return nil
}

// measure puts load on a cluster of its own, and makes sure that all members applied all writes.
func measure(ctx context.Context, dir string, writers int, o options) (r result, err error) {
	at, err := os.MkdirTemp(dir, "run")
	if err != nil {
		return r, err
	}
	c, err := newCluster(ctx, at)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, c.Close(), os.RemoveAll(at)) }()
	counted := &counted{writer: c}
	if r, err = load(ctx, counted, writers, o.size, o.warm, o.span); err != nil {
		return r, err
	}
	return r, c.await(ctx, counted.n.Load())
}

// await waits until every member has applied n writes.
func (c *cluster) await(ctx context.Context, n int64) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		got := c.applied()
		if slices.Max(got) > n {
			return fmt.Errorf("%d writes, and members applied %v", n, got)
		}
		if slices.Min(got) == n {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d writes, and members applied %v: %w", n, got, ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
}
