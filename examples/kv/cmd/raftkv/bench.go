package main

import (
	"context"
	"fmt"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/quorate-raft/raft/examples/kv/api"
	"github.com/quorate-raft/raft/examples/kv/bench"
)

func benchCommand() *cli.Command {
	return &cli.Command{
		Name:  "bench",
		Usage: "measure writes and reads per second, and latencies",
		Description: `Each client makes one request at a time. It writes keys that begin with "bench/". The
sync latency of a disk on this machine is measured first, in the directory of --disk: if
the servers run elsewhere, look at what they say of their own.`,
		Flags: clientFlags(
			&cli.IntFlag{Name: "clients", Value: 64, Usage: "`N` at a time", Sources: env("clients")},
			&cli.DurationFlag{Name: "duration", Value: 10 * time.Second, Usage: "`TIME` for writes, and again for reads", Sources: env("duration")},
			&cli.IntFlag{Name: "value-bytes", Value: 128, Usage: "`SIZE` of a value", Sources: env("value-bytes")},
			&cli.IntFlag{Name: "keys", Value: 10_000, Usage: "`N` different ones", Sources: env("keys")},
			stringFlag("disk", ".", "`DIRECTORY` on the disk to measure; \"\" for none"),
			consistencyFlag(),
		),
		Action: runBench,
	}
}

func runBench(ctx context.Context, c *cli.Command) error {
	if _, err := arguments(c); err != nil {
		return err
	}
	config, err := clientConfig(c)
	if err != nil {
		return err
	}
	r, err := bench.Run(ctx, bench.Config{
		Endpoints: config.Endpoints, TLS: config.TLS,
		Clients: c.Int("clients"), Duration: c.Duration("duration"), ValueBytes: c.Int("value-bytes"), Keys: c.Int("keys"),
		Consistency: api.Consistency(c.String("consistency")), Dir: c.String("disk"),
		Progress: func(what string) {
			if !c.Bool("json") {
				fmt.Fprintf(c.Root().ErrWriter, "measuring: %s\n", what)
			}
		},
	})
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return printJSON(c, r)
	}
	printBench(c, &r)
	return nil
}

func printBench(c *cli.Command, r *bench.Result) {
	printf(c, "%d clients, values of %d bytes, %d servers\n", r.Clients, r.ValueBytes, r.Servers)
	table(c.Root().Writer, func(row func(cells ...any)) {
		row("", "PER SECOND", "P50", "P99", "P99.9", "MAX", "COUNT", "FAILED")
		figures := func(what string, f *bench.Figures) {
			row(what, fmt.Sprintf("%.0f", f.PerSecond), rounded(f.P50), rounded(f.P99), rounded(f.P999), rounded(f.Max), f.Count, f.Failed)
		}
		figures("writes", &r.Writes)
		figures("reads, "+string(r.Consistency), &r.Reads)
		if r.Disk != nil {
			figures("disk here, sync of 4 KiB", r.Disk)
		}
		for _, s := range r.LogSyncs {
			row(fmt.Sprintf("server %d, write of the log", s.Server), "", rounded(s.P50), rounded(s.P99), "", "", s.Count, "")
		}
	})
}

// rounded leaves three digits or so.
func rounded(d time.Duration) string {
	switch {
	case d >= time.Second:
		d = d.Round(10 * time.Millisecond)
	case d >= time.Millisecond:
		d = d.Round(10 * time.Microsecond)
	default:
		d = d.Round(100 * time.Nanosecond)
	}
	return d.String()
}
