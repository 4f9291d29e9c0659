//go:build unix

package processtest

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft/examples/kv/api"
)

// Of three servers two are lost for good. The third, recovered, has all that was acknowledged
// and had reached it; new servers join it; and one of the lost ones that comes back all the
// same is not let in, since it is of another cluster now.
func TestRecover(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 3)
	cl := c.newClient()
	defer cl.Close()
	for i := range 40 {
		c.put(cl, fmt.Sprintf("key%d", i), "before")
	}
	before := c.awaitAgreement()
	lost, back, survivor := c.get(1), c.get(2), c.get(3)
	inUse := run(t, raftkv(t, "recover", "--data", survivor.dir, "--unsafe-lose-writes"))
	require.Equal(t, 1, inUse.status, inUse.text)
	require.Contains(t, inUse.text, "in use")
	for _, s := range c.members() {
		s.kill()
	}
	require.NoError(t, os.RemoveAll(lost.dir))
	c.drop(lost)
	c.drop(back)

	dry := run(t, raftkv(t, "recover", "--data", survivor.dir))
	require.Zero(t, dry.status, dry.text)
	require.Contains(t, dry.text, "Nothing was changed")
	require.Contains(t, dry.text, fmt.Sprintf("members were %d, %d, %d", 1, 2, 3))
	done := run(t, raftkv(t, "recover", "--data", survivor.dir, "--unsafe-lose-writes"))
	require.Zero(t, done.status, done.text)
	require.Contains(t, done.text, "only member")

	survivor.start()
	survivor.awaitServing()
	require.Equal(t, before, c.awaitAgreement())
	n := newNemesis(c)
	last := c.newClient()
	defer last.Close()
	for range 2 {
		n.awaitMember("becomes a voter", c.join(), isVoter)
	}
	refused := survivor.metric("raftkv_refused_connections_total")
	back.start()
	back.awaitServing()
	eventually(t, patience, "the old member is refused", func() error {
		if now := survivor.metric("raftkv_refused_connections_total"); now <= refused {
			return errors.New("it did not try")
		}
		return nil
	})
	c.put(last, "key0", "after")
	after := c.awaitAgreement()
	require.Len(t, after, len(before))
	require.Contains(t, after, api.Entry{Key: api.Text("key0"), Value: api.Text("after"), Revision: after[0].Revision})
	st, err := back.status()
	require.NoError(t, err)
	require.Zero(t, st.Leader)
	old, err := back.entries()
	require.NoError(t, err)
	require.Subset(t, before, old, "it may have forgotten that the last are committed, and has nothing new")
}
