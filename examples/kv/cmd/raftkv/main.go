// Command raftkv is a replicated key-value store: the server, its client, and tools
// around them.
//
//	raftkv demo       shows all of it, on this machine, in less than a minute
//	raftkv serve      runs a server
//	raftkv help       tells of the rest
//
// It ends with 0 on success, 1 if what it was asked for did not happen, 2 if the command
// line, the environment or the config file is wrong, 3 if nobody knows whether it
// happened, and 4 if the server was removed from its cluster: there is no use in starting
// it again.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/urfave/cli/v3"

	"github.com/quorate-raft/raft/examples/kv/bench"
	"github.com/quorate-raft/raft/examples/kv/client"
	"github.com/quorate-raft/raft/examples/kv/server"
)

// Exit statuses.
const (
	exitFailed    = 1
	exitUsage     = 2
	exitAmbiguous = 3
	exitRemoved   = 4
)

// usageError is a fault of the command line.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	context.AfterFunc(ctx, cancel) // a second signal ends the process at once
	os.Exit(run(ctx, os.Args, os.Stdin, os.Stdout, os.Stderr))
}

// run runs a command line and returns the status to exit with.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := command()
	root.Reader, root.Writer, root.ErrWriter = stdin, stdout, stderr
	err := root.Run(ctx, args)
	if err == nil {
		return 0
	}
	fmt.Fprintf(stderr, "raftkv: %s\n", describe(err))
	var usage usageError
	var begun begunError
	switch {
	case !errors.As(err, &begun), errors.As(err, &usage), errors.Is(err, server.ErrInvalidConfig), errors.Is(err, bench.ErrInvalidConfig):
		return exitUsage
	case errors.Is(err, client.ErrAmbiguous):
		return exitAmbiguous
	case errors.Is(err, server.ErrRemoved):
		return exitRemoved
	}
	return exitFailed
}

func command() *cli.Command {
	root := &cli.Command{
		Name:  "raftkv",
		Usage: "a replicated key-value store",
		Description: "raftkv demo shows what it does. raftkv serve starts a cluster of one server in ./raftkv-data;\n" +
			"more servers join with raftkv serve --join ADDRESS --data DIRECTORY and addresses of their own.",
		Commands: []*cli.Command{
			demoCommand(), serveCommand(), recoverCommand(),
			putCommand(), getCommand(), deleteCommand(), casCommand(), rangeCommand(), watchCommand(),
			statusCommand(), memberCommand(), repairCommand(), transferCommand(), benchCommand(),
		},
		Suggest:        true,
		ExitErrHandler: func(context.Context, *cli.Command, error) {}, // run does that
		Action:         unknownCommand,
	}
	prepare(root)
	return root
}

// prepare gives a command and those below it what all have.
func prepare(c *cli.Command) {
	c.OnUsageError = func(_ context.Context, c *cli.Command, err error, _ bool) error {
		return usagef("%w; see %s --help", err, c.FullName())
	}
	for _, sub := range c.Commands {
		prepare(sub)
	}
	if len(c.Commands) > 0 {
		c.Action = unknownCommand
	}
	if action := c.Action; action != nil {
		c.Action = func(ctx context.Context, c *cli.Command) error {
			if err := action(ctx, c); err != nil {
				return begunError{err}
			}
			return nil
		}
	}
}

// begunError is an error of a command that has begun. Others are of how it was called, also
// those that package cli has no hook for, as of the environment.
type begunError struct{ error }

func (e begunError) Unwrap() error { return e.error }

func unknownCommand(_ context.Context, c *cli.Command) error {
	if name := c.Args().First(); name != "" {
		return usagef("there is no command %q; see %s --help", name, c.FullName())
	}
	_ = cli.ShowSubcommandHelp(c)
	return usagef("say what to do")
}

// arguments checks that there are as many arguments as names, and returns them.
func arguments(c *cli.Command, names ...string) ([]string, error) {
	args := c.Args().Slice()
	switch {
	case len(args) < len(names):
		return nil, usagef("%s is missing; see %s --help", names[len(args)], c.FullName())
	case len(args) > len(names):
		return nil, usagef("%q is one argument too many; see %s --help", args[len(names)], c.FullName())
	}
	return args, nil
}

// describe says what went wrong, and for what people run into, what to do about it.
func describe(err error) string {
	hint := ""
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		hint = "another process, perhaps another server, has this address: choose others with --peer-listen, --client-listen and --debug-listen"
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		hint = "the disk is full: free some space and start the server again; nothing that was acknowledged is lost"
	case errors.Is(err, server.ErrInUse):
		hint = "another server runs on this directory: stop it, or choose another with --data"
	case errors.Is(err, server.ErrIdentity):
		hint = "choose the directory of this server with --data, or leave out --id and --members, which count at the first start alone"
	case errors.Is(err, server.ErrRemoved):
		hint = "to bring the machine back, start it with an empty directory and --join"
	}
	if hint == "" {
		return err.Error()
	}
	return fmt.Sprintf("%v\n  %s", err, hint)
}
