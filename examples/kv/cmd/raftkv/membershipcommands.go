package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/quorate-raft/raft/examples/kv/api"
	"github.com/quorate-raft/raft/examples/kv/client"
)

// membershipCommands are those of "member" about the membership as a whole.
func membershipCommands() []*cli.Command {
	return []*cli.Command{
		{
			Name: "set", Usage: "say who the members are to be; the cluster does the rest",
			Description: `Who is not named is removed. A member is named by its ID, and keeps its addresses; ID=ADDRESS
gives it another one for the other servers, and a server that is no member yet its first. Start new
servers before, with serve --join ... --as-learner, or they have an election timeout to show up.

  raftkv member plan --voters 1,2,4 --learners 5          what would happen
  raftkv member set  --voters 1,2,4 --learners 5 --wait   do it, and tell how it goes`,
			Flags: clientFlags(append(specFlags(),
				&cli.BoolFlag{Name: "wait", Usage: "tell how it goes until it has ended, however long that takes; exit status 0 if it was reached"},
			)...),
			Action: setMembers,
		},
		{
			Name: "plan", Usage: "print what lies ahead on the way to a membership, and change nothing",
			Flags: clientFlags(specFlags()...),
			Action: func(ctx context.Context, c *cli.Command) error {
				spec, err := specOf(c)
				if err != nil {
					return err
				}
				return asking(nil, func(ctx context.Context, cl *client.Client, _ *cli.Command, _ []string) (api.MembershipPlan, error) {
					return cl.PlanMembership(ctx, spec)
				}, printPlan)(ctx, c)
			},
		},
		{
			Name: "watch", Usage: "print changes of the members, and how the cluster gets on with them",
			Flags:  clientFlags(&cli.DurationFlag{Name: "interval", Value: 250 * time.Millisecond, Usage: "`TIME` between two looks"}),
			Action: watchMembers,
		},
		{
			Name: "cancel", Usage: "give up the membership that the cluster works towards",
			Description: "What was changed so far stays, but for servers that were added to vote and do not yet.",
			Flags:       clientFlags(&cli.Uint64Flag{Name: "version", Usage: "only the one that log entry `INDEX` has set; default: whichever stands"}),
			Action: asking(nil, func(ctx context.Context, cl *client.Client, c *cli.Command, _ []string) (api.Outcome, error) {
				return cl.CancelMembership(ctx, c.Uint64("version"))
			}, func(c *cli.Command, o api.Outcome) { printf(c, "target %d: %v\n", o.Version, o) }),
		},
	}
}

func specFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{Name: "voters", Usage: "`ID[=ADDRESS]`,... of all that are to vote", Required: true},
		&cli.StringSliceFlag{Name: "learners", Usage: "`ID[=ADDRESS]`,... of all that are to have the data and no vote"},
		&cli.Uint64Flag{Name: "expect-version", Usage: "only if the configuration is that of log entry `INDEX`, as member plan and member list print it"},
		&cli.BoolFlag{Name: "force", Usage: "though so many of the voters are not heard from that they could not go on"},
	}
}

// specOf reads the membership that the flags ask for.
func specOf(c *cli.Command) (spec api.SetMembership, err error) {
	if spec.Voters, err = specs(c, "voters"); err == nil {
		spec.Learners, err = specs(c, "learners")
	}
	if err != nil {
		return spec, err
	}
	for _, m := range spec.Learners {
		if slices.ContainsFunc(spec.Voters, func(v api.MemberSpec) bool { return v.ID == m.ID }) {
			return spec, usagef("server %d cannot be both voter and learner", m.ID)
		}
	}
	if c.IsSet("expect-version") {
		version := c.Uint64("expect-version")
		spec.ExpectVersion = &version
	}
	spec.Force = c.Bool("force")
	return spec, nil
}

func specs(c *cli.Command, flag string) (list []api.MemberSpec, err error) {
	for _, item := range c.StringSlice(flag) {
		number, address, given := strings.Cut(strings.TrimSpace(item), "=")
		id, err := strconv.ParseUint(number, 10, 64)
		if err != nil || id == 0 || given && address == "" {
			return nil, usagef("--%s: %q is not ID or ID=ADDRESS", flag, item)
		}
		if slices.ContainsFunc(list, func(o api.MemberSpec) bool { return o.ID == id }) {
			return nil, usagef("--%s: there are two of ID %d", flag, id)
		}
		list = append(list, api.MemberSpec{ID: id, Addresses: api.Addresses{Peer: address}})
	}
	return list, nil
}

// endedError is of a target that was not reached.
type endedError struct{ api.Outcome }

func (e endedError) Error() string { return fmt.Sprintf("target %d: %v", e.Version, e.Outcome) }

func setMembers(ctx context.Context, c *cli.Command) error {
	if _, err := arguments(c); err != nil {
		return err
	}
	spec, err := specOf(c)
	if err != nil {
		return err
	}
	cl, err := newClient(c)
	if err != nil {
		return err
	}
	defer cl.Close()
	within, cancel := context.WithTimeout(ctx, c.Duration("timeout"))
	defer cancel()
	set, err := cl.SetMembership(within, spec)
	if err != nil {
		return err
	}
	if !c.Bool("wait") {
		if c.Bool("json") {
			return printJSON(c, set)
		}
		printf(c, "target %d is set; raftkv member watch shows how it gets on, raftkv member cancel gives it up\n", set.Version)
		return nil
	}
	return awaitMembers(ctx, cl, c, set.Version)
}

// awaitMembers tells how the cluster gets on with a target until that has ended.
func awaitMembers(ctx context.Context, cl *client.Client, c *cli.Command, version uint64) error {
	following, stop := context.WithCancel(ctx)
	followed := make(chan struct{})
	go func() {
		defer close(followed)
		if !c.Bool("json") {
			_ = follow(following, cl, c, 250*time.Millisecond, version)
		}
	}()
	outcome, err := cl.AwaitMembership(ctx, version)
	stop()
	<-followed
	switch {
	case err != nil && ctx.Err() != nil:
		return fmt.Errorf("target %d stands, and the cluster goes on with it: %w", version, err)
	case err != nil:
		return err
	case c.Bool("json"):
		err = printJSON(c, outcome)
	default:
		printf(c, "target %d: %v\n", version, outcome)
	}
	if err == nil && outcome.Result != api.ResultReached {
		err = endedError{outcome}
	}
	return err
}

func watchMembers(ctx context.Context, c *cli.Command) error {
	if _, err := arguments(c); err != nil {
		return err
	}
	interval := c.Duration("interval")
	if interval <= 0 {
		return usagef("--interval (%v) must be positive", interval)
	}
	cl, err := newClient(c)
	if err != nil {
		return err
	}
	defer cl.Close()
	return follow(ctx, cl, c, interval, 0)
}

// follow prints what changes of the membership until ctx ends, or until the target of a
// version, if that is not 0, does not stand any more.
func follow(ctx context.Context, cl *client.Client, c *cli.Command, interval time.Duration, version uint64) error {
	f := follower{c: c}
	for {
		within, cancel := context.WithTimeout(ctx, c.Duration("timeout"))
		m, err := cl.Membership(within)
		cancel()
		switch {
		case ctx.Err() != nil:
			return nil // it was told to end
		case err != nil:
			f.say("nobody tells of the members: %v", err)
		case version != 0 && (m.Target == nil || m.Target.Version != version):
			return nil
		case c.Bool("json"):
			f.json(&m)
		default:
			f.show(&m)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(interval):
		}
	}
}

// follower prints what is new.
type follower struct {
	c       *cli.Command
	index   uint64 // of the configuration that was printed
	target  uint64
	outcome uint64 // index of
	last    string // line about progress, or trouble
}

// say prints a line unless it was the last one.
func (f *follower) say(format string, args ...any) {
	if line := fmt.Sprintf(format, args...); line != f.last {
		f.last = line
		if !f.c.Bool("json") {
			printf(f.c, "%s  %s\n", time.Now().Format(time.TimeOnly), line)
		}
	}
}

func (f *follower) json(m *api.Membership) {
	progress := ""
	for _, member := range m.Members {
		if p := member.Progress; p != nil && p.CatchUp != nil {
			progress += fmt.Sprint(member.ID, *p.CatchUp)
		}
	}
	state := fmt.Sprint(m.Index, m.Joint, m.Target, m.Step, progress)
	if m.LastOutcome != nil {
		state += fmt.Sprint(m.LastOutcome.Index)
	}
	if state != f.last {
		f.last = state
		_ = printJSON(f.c, m)
	}
}

func (f *follower) show(m *api.Membership) {
	first := f.index == 0
	if o := m.LastOutcome; o != nil && o.Index > f.outcome {
		f.outcome = o.Index
		if !first {
			f.say("target %d: %v", o.Version, *o)
		}
	}
	if t := m.Target; t != nil && t.Version > f.target {
		f.target = t.Version
		f.say("target %d: %v", t.Version, *t)
	}
	if m.Index != f.index {
		f.index = m.Index
		f.say("members as of %d: %s", m.Index, roles(m))
	}
	if m.Step == nil {
		return
	}
	f.say("step: %v%s", *m.Step, catchUps(m))
}

// roles lists members by role.
func roles(m *api.Membership) string {
	by := map[string][]uint64{}
	var order, parts []string
	for _, member := range m.Members {
		if by[member.Role] == nil {
			order = append(order, member.Role)
		}
		by[member.Role] = append(by[member.Role], member.ID)
	}
	slices.SortStableFunc(order, func(a, b string) int { return rank(a) - rank(b) })
	for _, role := range order {
		parts = append(parts, fmt.Sprintf("%s %s", role, api.IDs(by[role])))
	}
	return strings.Join(parts, ", ")
}

func rank(role string) int {
	return slices.Index([]string{api.RoleVoter, api.RoleIncoming, api.RoleOutgoing, api.RoleDemoting, api.RoleLearner}, role)
}

// catchUps tells how servers that are to vote get on.
func catchUps(m *api.Membership) (text string) {
	for _, member := range m.Members {
		if p := member.Progress; p != nil && p.CatchUp != nil {
			u := p.CatchUp
			text += fmt.Sprintf("; server %d in round %d has %d of %d entries after %d ticks", member.ID, u.Round, min(p.Match, u.Target), u.Target, u.Ticks)
			if p.State == "snapshot" {
				text += ", gets a snapshot"
			}
		}
	}
	return text
}

func printPlan(c *cli.Command, p api.MembershipPlan) {
	if len(p.Steps) == 0 {
		printf(c, "nothing is to be done: these are the members, as of configuration %d\n", p.Version)
	} else {
		printf(c, "from configuration %d:\n", p.Version)
		table(c.Root().Writer, func(row func(cells ...any)) {
			row("", "STEP", "VOTERS THEN", "LEARNERS", "QUORUM", "SURVIVES")
			row("", "as it is", "", "", quorums(p.Before), failures(p.Before))
			for i, s := range p.Steps {
				row(i+1, s.Step, api.IDs(s.Voters), api.IDs(s.Learners), quorums(s.Resilience), failures(s.Resilience))
			}
		})
		printf(c, "survives %s before, %s at the weakest moment, %s afterwards\n", failures(p.Before), failures(p.During), failures(p.After))
		if len(p.Leaving) > 0 {
			printf(c, "no voter any more: %s; one of them that leads hands over first\n", api.IDs(p.Leaving))
		}
	}
	for _, o := range p.Obstacles {
		printf(c, "in the way: %s\n", o)
	}
	if p.Refusal != "" {
		printf(c, "it would be refused now: %s\n", p.Refusal)
	}
}

func quorums(r api.Resilience) string {
	text := fmt.Sprint(r.Quorums[0])
	if len(r.Quorums) > 1 {
		text += fmt.Sprintf(" and %d", r.Quorums[1])
	}
	return text
}

func failures(r api.Resilience) string {
	if r.Failures == 1 {
		return "1 failure"
	}
	return fmt.Sprintf("%d failures", r.Failures)
}

func repairCommand() *cli.Command {
	pause := func(paused bool) cli.ActionFunc {
		return func(ctx context.Context, c *cli.Command) error {
			var told error
			err := asking(nil, func(ctx context.Context, cl *client.Client, _ *cli.Command, _ []string) ([]memberRepair, error) {
				all, err := eachRepair(ctx, cl, func(ctx context.Context, url string) (api.Repair, error) {
					if is, err := cl.Repair(ctx, url); err != nil || !is.Enabled {
						return is, err // one that repairs nothing needs not be told
					}
					return cl.PauseRepair(ctx, url, paused)
				})
				told = allTold(all)
				return all, err
			}, printRepairs)(ctx, c)
			return errors.Join(err, told)
		}
	}
	return &cli.Command{
		Name: "repair", Usage: "see and pause the replacement of dead voters (serve --auto-repair)",
		Commands: []*cli.Command{
			{
				Name: "status", Usage: "print what each server does about it; the leader's is the one that counts", Flags: clientFlags(),
				Action: asking(nil, func(ctx context.Context, cl *client.Client, _ *cli.Command, _ []string) ([]memberRepair, error) {
					return eachRepair(ctx, cl, cl.Repair)
				}, printRepairs),
			},
			{
				Name: "pause", Usage: "make all servers do nothing", Flags: clientFlags(), Action: pause(true),
				Description: "It fails if a server cannot be told, and names it; the others are paused all the same.\n" +
					"A server that is started later is not paused, unless with --repair-paused.",
			},
			{Name: "resume", Usage: "make all servers go on", Flags: clientFlags(), Action: pause(false)},
		},
	}
}

// memberRepair is what a server said.
type memberRepair struct {
	ID     uint64 `json:"id"`
	Leader bool   `json:"leader,omitempty"`
	api.Repair
	Error string `json:"error,omitempty"`
}

// eachRepair asks every member. Not all have to answer.
func eachRepair(ctx context.Context, cl *client.Client, ask func(ctx context.Context, url string) (api.Repair, error)) ([]memberRepair, error) {
	members, err := cl.Members(ctx)
	if err != nil {
		return nil, err
	}
	answers := make([]memberRepair, len(members.Members))
	answered := 0
	for i, m := range members.Members {
		answers[i] = memberRepair{ID: m.ID, Leader: m.Leader}
		if m.Client == "" {
			answers[i].Error = "has not told its address for clients"
			continue
		}
		within, cancel := context.WithTimeout(ctx, statusTimeout)
		answers[i].Repair, err = ask(within, m.Client)
		cancel()
		if err != nil {
			answers[i].Error = err.Error()
			continue
		}
		answered++
	}
	if answered == 0 {
		return nil, errors.New("no server answered: " + answers[0].Error)
	}
	return answers, nil
}

// allTold returns an error unless each server that repairs was told.
func allTold(all []memberRepair) error {
	var missed []uint64
	enabled := false
	for _, m := range all {
		enabled = enabled || m.Enabled
		if m.Error != "" {
			missed = append(missed, m.ID)
		}
	}
	switch {
	case len(all) == 0: // that is another error
		return nil
	case len(missed) > 0:
		return fmt.Errorf("could not be told: servers %s", api.IDs(missed))
	case !enabled:
		return errors.New("no server was started with --auto-repair")
	}
	return nil
}

func printRepairs(c *cli.Command, all []memberRepair) {
	table(c.Root().Writer, func(row func(cells ...any)) {
		row("ID", "LEADER", "REPAIR", "BEGUN", "WHY")
		for _, m := range all {
			leader, state, why := "", "off", m.Decision
			if m.Leader {
				leader = "leader"
			}
			switch {
			case m.Error != "":
				state, why = "unknown", m.Error
			case m.Paused:
				state = "paused"
			case m.Enabled:
				state = "on"
			}
			row(m.ID, leader, state, m.Replaced, why)
		}
	})
}
