package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/quorate-raft/raft/examples/kv/api"
	"github.com/quorate-raft/raft/examples/kv/client"
)

func statusCommand() *cli.Command {
	return &cli.Command{
		Name: "status", Usage: "print the state of every member",
		Flags: clientFlags(),
		Action: asking(nil, func(ctx context.Context, cl *client.Client, c *cli.Command, _ []string) ([]memberStatus, error) {
			members, err := cl.Members(ctx)
			if err != nil {
				return nil, err
			}
			return askEach(ctx, cl, &members), nil
		}, printStatuses),
	}
}

// memberStatus is the state of a member, or why it is not known.
type memberStatus struct {
	api.Member
	Status *api.Status `json:"status,omitempty"`
	Error  string      `json:"error,omitempty"`
}

// statusTimeout is for how long one member is waited for.
const statusTimeout = 2 * time.Second

// askEach asks every member for its state, all at once.
func askEach(ctx context.Context, cl *client.Client, members *api.Membership) []memberStatus {
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	answers := make([]memberStatus, len(members.Members))
	done := make(chan struct{})
	for i, m := range members.Members {
		answers[i].Member = m
		go func() {
			defer func() { done <- struct{}{} }()
			if m.Client == "" {
				answers[i].Error = "has not told its address for clients"
				return
			}
			st, err := cl.Status(ctx, m.Client)
			if err != nil {
				answers[i].Error = err.Error()
				return
			}
			answers[i].Status = &st
		}()
	}
	for range members.Members {
		<-done
	}
	return answers
}

func printStatuses(c *cli.Command, answers []memberStatus) {
	table(c.Root().Writer, func(row func(cells ...any)) {
		row("ID", "MEMBER", "STATE", "TERM", "LEADER", "COMMIT", "APPLIED", "LAST", "WRITES", "READS", "CLIENTS")
		for _, a := range answers {
			if s := a.Status; s != nil {
				row(a.ID, a.Role, s.Role, s.Term, s.Leader, s.Commit, s.Applied, s.Last, s.Writes, s.Reads, a.Client)
			} else {
				row(a.ID, a.Role, "unknown", "", "", "", "", "", "", "", a.Client)
			}
		}
	})
	for _, a := range answers {
		if a.Error != "" {
			printf(c, "server %d: %s\n", a.ID, a.Error)
		} else if a.Status.Explain != "" {
			printf(c, "server %d: %s\n", a.ID, a.Status.Explain)
		}
	}
}

// table prints rows in columns.
func table(w io.Writer, fill func(row func(cells ...any))) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fill(func(cells ...any) {
		for i, cell := range cells {
			if i > 0 {
				fmt.Fprint(t, "\t")
			}
			fmt.Fprint(t, cell)
		}
		fmt.Fprintln(t)
	})
	_ = t.Flush()
}

func memberCommand() *cli.Command {
	return &cli.Command{
		Name: "member", Usage: "list and change the members of the cluster",
		Commands: append([]*cli.Command{
			{
				Name: "list", Usage: "print the members", Flags: clientFlags(),
				Action: asking(nil, func(ctx context.Context, cl *client.Client, _ *cli.Command, _ []string) (api.Membership, error) {
					return cl.Members(ctx)
				}, printMembers),
			},
			{
				Name: "add", Usage: "add a learner that is started later",
				Description: "It prints how to start the server. Servers that are started with serve --join add themselves.",
				Flags: clientFlags(
					&cli.StringFlag{Name: "peer", Usage: "`ADDRESS` at which the other servers will reach it", Required: true},
					&cli.StringFlag{Name: "client", Usage: "`URL` at which clients will reach it"},
				),
				Action: asking(nil, func(ctx context.Context, cl *client.Client, c *cli.Command, _ []string) (api.Joined, error) {
					return cl.AddMember(ctx, api.NewMember{Addresses: api.Addresses{Peer: c.String("peer"), Client: c.String("client")}})
				}, func(c *cli.Command, joined api.Joined) {
					printf(c, "server %d is a learner now; start it with\n  raftkv serve --id %d --join %s --peer-listen %s\n",
						joined.ID, joined.ID, c.StringSlice("endpoints")[0], c.String("peer"))
				}),
			},
			{
				Name: "remove", Usage: "remove a member", ArgsUsage: "ID",
				Flags: clientFlags(&cli.BoolFlag{Name: "force", Usage: "though the voters that are left and heard from are no majority"}),
				Action: asking([]string{"ID"}, func(ctx context.Context, cl *client.Client, c *cli.Command, args []string) (api.Membership, error) {
					return withID(args[0], func(id uint64) (api.Membership, error) { return cl.RemoveMember(ctx, id, c.Bool("force")) })
				}, printMembers),
			},
			{
				Name: "promote", Usage: "make a learner a voter", ArgsUsage: "ID", Flags: clientFlags(),
				Action: asking([]string{"ID"}, func(ctx context.Context, cl *client.Client, _ *cli.Command, args []string) (api.Membership, error) {
					return withID(args[0], func(id uint64) (api.Membership, error) { return cl.Promote(ctx, id) })
				}, printMembers),
			},
			{
				Name: "replace", Usage: "put a learner in a voter's place, in one joint change", ArgsUsage: "VOTER LEARNER", Flags: clientFlags(),
				Action: asking([]string{"VOTER", "LEARNER"}, func(ctx context.Context, cl *client.Client, _ *cli.Command, args []string) (api.Membership, error) {
					return withID(args[0], func(voter uint64) (api.Membership, error) {
						return withID(args[1], func(learner uint64) (api.Membership, error) { return cl.Replace(ctx, voter, learner) })
					})
				}, printMembers),
			},
		}, membershipCommands()...),
	}
}

// withID reads the ID of a member and does something with it.
func withID[T any](text string, do func(id uint64) (T, error)) (answer T, err error) {
	id, err := strconv.ParseUint(text, 10, 64)
	if err != nil || id == 0 {
		return answer, usagef("%q is not the ID of a member", text)
	}
	return do(id)
}

func printMembers(c *cli.Command, m api.Membership) {
	joint := ""
	if m.Joint {
		joint = ", joint: a change is under way"
	}
	printf(c, "cluster %s, configuration of log entry %d%s\n", m.Cluster, m.Index, joint)
	if t := m.Target; t != nil {
		printf(c, "on its way to the target %d: %v\n", t.Version, *t)
	} else if o := m.LastOutcome; o != nil {
		printf(c, "the last target, %d: %v\n", o.Version, *o)
	}
	table(c.Root().Writer, func(row func(cells ...any)) {
		row("ID", "ROLE", "LEADER", "PEERS", "CLIENTS", "BEHIND", "STATE")
		for _, member := range m.Members {
			leader, behind, state := "", "", ""
			if member.Leader {
				leader = "leader"
			}
			if p := member.Progress; p != nil {
				behind, state = strconv.FormatUint(p.Behind, 10), p.State
				if !p.Active {
					state = "silent"
				}
			}
			row(member.ID, member.Role, leader, member.Peer, member.Client, behind, state)
		}
	})
}

func transferCommand() *cli.Command {
	return &cli.Command{
		Name: "transfer", Usage: "hand leadership to another voter",
		Flags: clientFlags(&cli.Uint64Flag{Name: "to", Usage: "`ID` of the voter; default: the leader chooses"}),
		Action: asking(nil, func(ctx context.Context, cl *client.Client, c *cli.Command, _ []string) (api.Status, error) {
			return cl.Transfer(ctx, c.Uint64("to"))
		}, func(c *cli.Command, s api.Status) { printf(c, "server %d leads in term %d\n", s.Leader, s.Term) }),
	}
}

func sprint(v any) string { return fmt.Sprint(v) }
