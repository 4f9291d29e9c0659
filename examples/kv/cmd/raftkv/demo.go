package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/urfave/cli/v3"

	"github.com/quorate-raft/raft/examples/kv/demo"
)

func demoCommand() *cli.Command {
	return &cli.Command{
		Name:  "demo",
		Usage: "show what the store does, on this machine, in less than a minute",
		Description: `It starts servers as processes of their own, on loopback and in a temporary directory,
loads keys, kills the leader and restarts it, adds a server, swaps another, reads all keys
back, and checks what clients saw for linearizability. While it runs it serves a page that
shows the servers; --open-for keeps that up.

It ends with 1 if anything was lost, was not linearizable or did not work; then the
directory is kept.`,
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "keys", Value: 10_000, Usage: "`KEYS` to load"},
			&cli.StringFlag{Name: "dir", Usage: "`DIRECTORY` for everything, which is kept; default: a temporary one"},
			&cli.StringFlag{Name: "page", Value: "127.0.0.1:0", Usage: "`ADDRESS` of the page; port 0 takes a free one"},
			&cli.DurationFlag{Name: "open-for", Usage: "`TIME` that servers and page stay up at the end"},
			&cli.BoolFlag{Name: "json", Usage: "print the summary as JSON, and all else to standard error"},
		},
		Action: func(ctx context.Context, c *cli.Command) error {
			if _, err := arguments(c); err != nil {
				return err
			}
			config := demo.Config{Keys: c.Int("keys"), Dir: c.String("dir"), Page: c.String("page"), OpenFor: c.Duration("open-for"), Out: c.Root().Writer}
			if c.Bool("json") {
				config.Out = c.Root().ErrWriter
			}
			summary, err := demo.Run(ctx, config)
			if errors.Is(err, demo.ErrInvalidConfig) {
				return usageError{err}
			}
			if summary != nil && c.Bool("json") {
				err = errors.Join(err, printJSON(c, summary))
			}
			if err != nil {
				// Not wrapped: what a step ran into says nothing about the demo's own outcome,
				// which is that it failed.
				return fmt.Errorf("demo: %v", err)
			}
			return nil
		},
	}
}
