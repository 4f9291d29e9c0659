package main

import (
	"context"
	"fmt"
	"io"

	"github.com/urfave/cli/v3"

	"github.com/quorate-raft/raft/examples/kv/api"
	"github.com/quorate-raft/raft/examples/kv/client"
)

func consistencyFlag() cli.Flag {
	return &cli.StringFlag{
		Name: "consistency", Value: string(api.Linearizable), Usage: "`KIND`: linearizable, lease or stale",
		Validator: func(text string) error {
			switch api.Consistency(text) {
			case api.Linearizable, api.Lease, api.Stale:
				return nil
			}
			return fmt.Errorf("--consistency (%s) must be linearizable, lease or stale", text)
		},
	}
}

func consistencyOf(c *cli.Command) api.Consistency { return api.Consistency(c.String("consistency")) }

func putCommand() *cli.Command {
	return &cli.Command{
		Name: "put", Usage: "set a key", ArgsUsage: "KEY VALUE",
		Description: "VALUE may be - for standard input.",
		Flags:       clientFlags(),
		Action: asking([]string{"KEY", "VALUE"}, func(ctx context.Context, cl *client.Client, c *cli.Command, args []string) (api.WriteResult, error) {
			value := []byte(args[1])
			if args[1] == "-" {
				var err error
				if value, err = io.ReadAll(c.Root().Reader); err != nil {
					return api.WriteResult{}, err
				}
			}
			revision, err := cl.Put(ctx, []byte(args[0]), value)
			return api.WriteResult{Revision: revision}, err
		}, printRevision),
	}
}

func printRevision(c *cli.Command, r api.WriteResult) { printf(c, "revision %d\n", r.Revision) }

func getCommand() *cli.Command {
	return &cli.Command{
		Name: "get", Usage: "print the value of a key", ArgsUsage: "KEY",
		Flags: clientFlags(consistencyFlag()),
		Action: asking([]string{"KEY"}, func(ctx context.Context, cl *client.Client, c *cli.Command, args []string) (api.Entry, error) {
			return cl.Get(ctx, []byte(args[0]), consistencyOf(c))
		}, func(c *cli.Command, e api.Entry) { printf(c, "%s\n", e.Value) }),
	}
}

func deleteCommand() *cli.Command {
	return &cli.Command{
		Name: "del", Aliases: []string{"delete"}, Usage: "remove a key", ArgsUsage: "KEY",
		Flags: clientFlags(),
		Action: asking([]string{"KEY"}, func(ctx context.Context, cl *client.Client, c *cli.Command, args []string) (api.DeleteResult, error) {
			return cl.Delete(ctx, []byte(args[0]))
		}, func(c *cli.Command, r api.DeleteResult) {
			if r.Existed {
				printf(c, "revision %d\n", r.Revision)
			} else {
				printf(c, "there was no such key\n")
			}
		}),
	}
}

func casCommand() *cli.Command {
	return &cli.Command{
		Name: "cas", Usage: "set a key if it is what it is thought to be", ArgsUsage: "KEY VALUE",
		Description: "Give one of --if-absent, --if-value and --if-revision. It ends with 1 if the condition does not hold.",
		Flags: clientFlags(
			&cli.BoolFlag{Name: "if-absent", Usage: "if there is no such key"},
			&cli.StringFlag{Name: "if-value", Usage: "if it has this `VALUE`"},
			&cli.Uint64Flag{Name: "if-revision", Usage: "if it was last written at this `REVISION`"},
		),
		Action: asking([]string{"KEY", "VALUE"}, func(ctx context.Context, cl *client.Client, c *cli.Command, args []string) (api.WriteResult, error) {
			expect, err := expectation(c)
			if err != nil {
				return api.WriteResult{}, err
			}
			revision, err := cl.CompareAndSet(ctx, []byte(args[0]), expect, []byte(args[1]))
			return api.WriteResult{Revision: revision}, err
		}, printRevision),
	}
}

func expectation(c *cli.Command) (e api.Expect, err error) {
	n := 0
	if c.Bool("if-absent") {
		n, e.Absent = n+1, true
	}
	if c.IsSet("if-value") {
		n, e.Value = n+1, api.Text(c.String("if-value"))
	}
	if c.IsSet("if-revision") {
		n, e.Revision = n+1, c.Uint64("if-revision")
	}
	if n != 1 {
		return e, usagef("give one of --if-absent, --if-value and --if-revision")
	}
	return e, nil
}

func rangeFlags(more ...cli.Flag) []cli.Flag {
	return append(more,
		&cli.StringFlag{Name: "prefix", Usage: "keys that begin with `TEXT`"},
		&cli.StringFlag{Name: "from", Usage: "keys from `KEY` on"},
		&cli.StringFlag{Name: "to", Usage: "keys before `KEY`"},
	)
}

func keysOf(c *cli.Command) (client.Keys, error) {
	if !c.IsSet("prefix") {
		return client.Keys{From: []byte(c.String("from")), To: []byte(c.String("to"))}, nil
	}
	if c.IsSet("from") || c.IsSet("to") {
		return client.Keys{}, usagef("--prefix is in place of --from and --to")
	}
	return client.Prefix([]byte(c.String("prefix"))), nil
}

func rangeCommand() *cli.Command {
	return &cli.Command{
		Name: "range", Usage: "print keys and values, by key",
		Flags: clientFlags(rangeFlags(consistencyFlag(), &cli.IntFlag{Name: "limit", Usage: "at most `N` of them; 0 for all"})...),
		Action: func(ctx context.Context, c *cli.Command) error {
			if _, err := arguments(c); err != nil {
				return err
			}
			keys, err := keysOf(c)
			if err != nil {
				return err
			}
			cl, err := newClient(c)
			if err != nil {
				return err
			}
			defer cl.Close()
			ctx, cancel := context.WithTimeout(ctx, c.Duration("timeout"))
			defer cancel()
			return printRange(ctx, cl, c, keys)
		},
	}
}

func printRange(ctx context.Context, cl *client.Client, c *cli.Command, keys client.Keys) error {
	n, limit := 0, c.Int("limit")
	if limit < 0 {
		return usagef("--limit (%d) must not be negative", limit)
	}
	for page, err := range cl.RangeAll(ctx, keys, consistencyOf(c)) {
		if err != nil {
			return err
		}
		for _, e := range page.Entries {
			if n++; limit > 0 && n > limit {
				return nil
			}
			if !c.Bool("json") {
				printf(c, "%s\t%s\n", e.Key, e.Value)
			} else if err := printJSON(c, e); err != nil {
				return err
			}
		}
	}
	return nil
}

func watchCommand() *cli.Command {
	return &cli.Command{
		Name: "watch", Usage: "print changes of keys as they come",
		Flags: clientFlags(rangeFlags(&cli.Uint64Flag{Name: "since", Usage: "changes after this `REVISION`; default: from now on"})...),
		Action: func(ctx context.Context, c *cli.Command) error {
			if _, err := arguments(c); err != nil {
				return err
			}
			keys, err := keysOf(c)
			if err != nil {
				return err
			}
			cl, err := newClient(c)
			if err != nil {
				return err
			}
			defer cl.Close()
			err = watch(ctx, cl, c, keys)
			if ctx.Err() != nil {
				return nil // it was told to end
			}
			return err
		},
	}
}

func watch(ctx context.Context, cl *client.Client, c *cli.Command, keys client.Keys) error {
	since := c.Uint64("since")
	if !c.IsSet("since") {
		ctx, cancel := context.WithTimeout(ctx, c.Duration("timeout"))
		defer cancel()
		page, err := cl.Range(ctx, client.Keys{From: keys.From, To: keys.From}, 1, api.Linearizable)
		if err != nil {
			return err
		}
		since = page.Revision
	}
	return cl.Watch(ctx, keys, since, func(changes api.Changes) error {
		for _, e := range changes.Events {
			switch {
			case c.Bool("json"):
				if err := printJSON(c, e); err != nil {
					return err
				}
			case e.Deleted:
				printf(c, "%d\tdel\t%s\n", e.Revision, e.Key)
			default:
				printf(c, "%d\tput\t%s\t%s\n", e.Revision, e.Key, e.Value)
			}
		}
		return nil
	})
}
