package main

import (
	"context"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/quorate-raft/raft/examples/kv/server"
)

// unsafeFlag has to be given by whoever recovers: it is not found by completion or
// habit.
const unsafeFlag = "unsafe-lose-writes"

func recoverCommand() *cli.Command {
	return &cli.Command{
		Name:  "recover",
		Usage: "make a new cluster out of one server, after the quorum is lost for good",
		Description: `UNSAFE. Writes that were acknowledged and did not reach this server are lost, and nobody can tell
which. Do it only if no majority of the voters will ever come back; a member that is
merely down should be started again.

Without --` + unsafeFlag + ` it changes nothing and prints what this server has. Look at all
survivors, and take the one with the highest last term, and of those the one with
the highest last entry. The server must not run. Afterwards start it with serve, and
let new servers join with empty directories.`,
		Flags: []cli.Flag{
			stringFlag("data", "raftkv-data", "`DIRECTORY` of the server"),
			stringFlag("peer", "", "`ADDRESS` for other servers; default: the one that it had"),
			&cli.BoolFlag{Name: unsafeFlag, Usage: "do it"},
			&cli.BoolFlag{Name: "json", Usage: "print JSON"},
		},
		Action: func(_ context.Context, c *cli.Command) error {
			if _, err := arguments(c); err != nil {
				return err
			}
			r, err := server.Recover(server.RecoverConfig{Dir: c.String("data"), Peer: c.String("peer"), DryRun: !c.Bool(unsafeFlag)})
			if err != nil {
				return err
			}
			if c.Bool("json") {
				return printJSON(c, r)
			}
			printRecovered(c, &r)
			return nil
		},
	}
}

func printRecovered(c *cli.Command, r *server.Recovered) {
	printf(c, "server %d of cluster %s, whose members were %s\n", r.ID, r.OldCluster, strings.Trim(strings.Join(strings.Fields(sprint(r.OldMembers)), ", "), "[]"))
	printf(c, "last term %d, last entry %d; known to be committed up to %d, applied up to %d\n", r.LastTerm, r.Last, r.Commit, r.Applied)
	if r.Removed {
		printf(c, "The cluster had removed this server: the others may have what it has not.\n")
	}
	if r.Last > r.Commit {
		printf(c, "the last %d entries may have been acknowledged or not; they are kept\n", r.Last-r.Commit)
	}
	if !c.Bool(unsafeFlag) {
		printf(c, "\nNothing was changed. To go on with this server alone, add --%s.\n", unsafeFlag)
		return
	}
	printf(c, "\nIt is now the only member of cluster %s. Start it with serve --data %s.\n", r.Cluster, c.String("data"))
	printf(c, "The old log stays in %s; remove it when all is well.\n", r.OldLog)
}
