//go:build unix

package processtest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft/examples/kv/api"
)

// A voter that is killed and does not come back is replaced by the learner that waits, also
// if it led; what was written before is there, and if it comes back after all it learns
// that it is no member any more.
func TestDeadVoterIsReplaced(t *testing.T) {
	t.Parallel()
	for _, leads := range []bool{false, true} {
		t.Run(fmt.Sprintf("leader %v", leads), func(t *testing.T) {
			t.Parallel()
			c := startCluster(t, 3, "--auto-repair", "--repair-after", (40 * tick).String())
			cl := c.newClient()
			defer cl.Close()
			c.put(cl, "key", "value")
			spare := c.join("--as-learner")
			c.awaitAgreement()
			dead := c.leader()
			if !leads {
				dead = c.get(dead.id%3 + 1)
			}
			dead.kill()
			c.drop(dead)
			eventually(t, patience, "it is replaced", func() error {
				m := c.membership()
				if m == nil || m.Joint || m.Find(dead.id) != nil || m.Find(spare.id) == nil || m.Find(spare.id).Role != api.RoleVoter {
					return fmt.Errorf("the members are %+v", m)
				}
				return nil
			})
			spare.own = nil // a learner no more
			c.put(cl, "key", "another")
			require.Len(t, c.awaitAgreement(), 1)
			end := run(t, dead.command())
			require.Equal(t, 4, end.status, end.text)
			require.Contains(t, end.text, "it was removed from the cluster")
		})
	}
}

// An operator plans, sets, watches and pauses with commands: the exit status says how it
// ended, and what is printed tells how it went.
func TestMemberCommands(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 3, "--auto-repair", "--repair-after", "1h")
	cl := c.newClient()
	defer cl.Close()
	c.put(cl, "key", "value")
	spare := c.join("--as-learner")
	c.awaitAgreement()
	raftkvCommand := func(status int, args ...string) string {
		t.Helper()
		end := run(t, raftkv(t, append(args, "--endpoints", strings.Join(c.urls(), ","))...))
		require.Equal(t, status, end.status, end.text)
		return end.text
	}
	old := c.leader()
	var stay []string
	for _, s := range c.members() {
		if s != old {
			stay = append(stay, fmt.Sprint(s.id))
		}
	}
	voters := strings.Join(stay, ",")
	plan := raftkvCommand(0, "member", "plan", "--voters", voters)
	require.Contains(t, plan, "change voters")
	require.Contains(t, plan, "2 and 2")
	require.Contains(t, plan, fmt.Sprintf("no voter any more: %d; one of them that leads hands over first", old.id))
	require.Contains(t, raftkvCommand(1, "member", "set", "--voters", voters, "--expect-version", "1"), "1 was expected")
	require.Contains(t, raftkvCommand(1, "member", "cancel"), "no membership target stands")
	eventually(t, patience, "all have told their addresses for clients", func() error {
		if text := raftkvCommand(0, "repair", "status"); strings.Contains(text, "unknown") {
			return fmt.Errorf("it says %s", text)
		}
		return nil
	})
	require.Regexp(t, `leader +paused +0`, raftkvCommand(0, "repair", "pause"))
	require.Regexp(t, `leader +on +0`, raftkvCommand(0, "repair", "resume"))

	watching := startProcess(t, "watch", c.dir+"/watch.log", raftkv(t, "member", "watch", "--interval", "10ms", "--endpoints", strings.Join(c.urls(), ",")))
	eventually(t, patience, "it watches", func() error {
		if text := string(tail(c.dir+"/watch.log", 50)); !strings.Contains(text, "members as of") {
			return fmt.Errorf("it has written %q", text)
		}
		return nil
	})
	old.running().mayEnd.Store(true)
	set := raftkvCommand(0, "member", "set", "--voters", voters, "--wait")
	require.Contains(t, set, ": reached\n")
	require.Equal(t, 4, old.awaitEnd().status)
	c.drop(old)
	spare.own = nil
	c.put(cl, "key", "another")
	c.awaitAgreement()
	eventually(t, patience, "it is told how it ended", func() error {
		text := string(tail(c.dir+"/watch.log", 50))
		for _, want := range []string{"target", "reached", "voter " + strings.Join(slices.Sorted(slices.Values(stay)), " ")} {
			if !strings.Contains(text, want) {
				return fmt.Errorf("%q is missing in %s", want, text)
			}
		}
		return nil
	})
	watching.terminate(t)
}
