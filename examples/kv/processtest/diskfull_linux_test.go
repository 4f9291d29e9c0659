package processtest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A server whose disk is full ends, and says why in words rather than in stacks; the others go
// on; and when there is space again it comes back with all it had, and catches up.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.found(3)
	victim := c.get(2)
	fill, free := fillDisk(t, victim)
	for _, s := range c.members() {
		s.start()
	}
	for _, s := range c.members() {
		s.awaitServing()
	}
	cl := c.newClient()
	defer cl.Close()
	c.put(cl, "before", "x")
	fill()
	p := victim.running()
	p.mayEnd.Store(true)
	ended := func() bool {
		select {
		case <-p.done:
			return true
		default:
			return false
		}
	}
	writes := 0
	for ; !ended() && writes < 1000; writes++ {
		c.put(cl, fmt.Sprintf("key%d", writes%10), strings.Repeat("x", 10_000))
	}
	end := victim.awaitEnd()
	t.Logf("after %d writes: %s", writes, end.text)
	require.Equal(t, 1, end.status, end.text)
	require.Regexp(t, "no space left on device|file too large", end.text)
	require.NotContains(t, end.text, "panic")
	require.NotContains(t, end.text, "goroutine ")
	if strings.Contains(end.text, "no space left") {
		require.Contains(t, end.text[strings.LastIndex(end.text, "raftkv: "):], "nothing that was acknowledged is lost")
	}

	c.put(cl, "meanwhile", "x")
	free()
	victim.start()
	victim.awaitServing()
	require.GreaterOrEqual(t, len(c.awaitAgreement()), 3)
}
