//go:build unix

package processtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quorate-raft/raft/examples/kv/api"
	"github.com/quorate-raft/raft/examples/kv/client"
)

// Between so many voters there are at all times.
const minServers, maxServers = 3, 5

// step is one thing that the nemesis does.
type step struct {
	name string
	// who chooses among those that it may happen to, span is how long it lasts, and
	// pause for how long nothing happens afterwards.
	who         uint64
	span, pause time.Duration
}

func (s step) String() string {
	return fmt.Sprintf("%s(%d) %v, %v", s.name, s.who, s.span, s.pause)
}

// plan returns steps by a seed: all names in random order, then all in another one.
func plan(r *rand.Rand, names []string, rounds int, span, pause time.Duration) (steps []step) {
	names = slices.Sorted(slices.Values(names))
	for range rounds {
		r.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		for _, name := range names {
			steps = append(steps, step{
				name: name, who: r.Uint64N(60),
				span:  (span/4 + time.Duration(r.Int64N(int64(span)))).Round(time.Millisecond),
				pause: time.Duration(r.Int64N(int64(pause))).Round(time.Millisecond),
			})
		}
	}
	return steps
}

// nemesis does to a cluster what operators and the world do. One lane of it handles processes
// and members, the other one the network.
type nemesis struct {
	c *cluster
	t testing.TB

	mu   sync.Mutex
	done map[string]int
}

func newNemesis(c *cluster) *nemesis {
	return &nemesis{c: c, t: c.t, done: map[string]int{}}
}

// processSteps and networkSteps are what the two lanes can do.
func (n *nemesis) processSteps() map[string]func(ctx context.Context, s step) {
	return map[string]func(ctx context.Context, s step){
		"kill one": n.kill(one), "kill leader": n.kill(theLeader), "kill minority": n.kill(minority),
		"kill majority": n.kill(majority), "kill all": n.kill(everyone),
		"stop one": n.stop(one), "stop leader": n.stop(theLeader), "stop majority": n.stop(majority), "stop all": n.stop(everyone),
		"terminate one": n.terminate(one), "terminate leader": n.terminate(theLeader),
		"add": n.add, "remove": n.remove(one), "remove leader": n.remove(theLeader),
		"replace": n.replace(one), "replace leader": n.replace(theLeader),
		"transfer": n.transfer, "move": n.moveOne,
	}
}

func (n *nemesis) networkSteps() map[string]func(ctx context.Context, s step) {
	slow := pipeFaults{delay: tick / 4, jitter: 2 * tick}
	throttled := pipeFaults{rate: 30_000}
	stalled := pipeFaults{stall: true}
	return map[string]func(ctx context.Context, s step){
		"slow one":     n.faulty(one, proxyFaults{toServer: slow, fromServer: slow}),
		"slow all":     n.faulty(everyone, proxyFaults{toServer: slow, fromServer: slow}),
		"throttle":     n.faulty(minority, proxyFaults{toServer: throttled, fromServer: throttled}),
		"stall one":    n.faulty(one, proxyFaults{toServer: stalled, fromServer: stalled}),
		"deafen one":   n.faulty(one, proxyFaults{toServer: stalled}),
		"deafen first": n.faulty(theLeader, proxyFaults{toServer: stalled}),
		"mute one":     n.faulty(one, proxyFaults{fromServer: stalled}),
		"refuse one":   n.faulty(one, proxyFaults{refuse: true}),
		"reset all":    n.resetAll,
	}
}

// run does the steps of a lane, one after the other, until ctx ends. A step that has begun
// comes to its end.
func (n *nemesis) run(ctx context.Context, steps []step, do map[string]func(ctx context.Context, s step)) {
	for _, s := range steps {
		if ctx.Err() != nil || n.t.Failed() {
			return
		}
		do[s.name](ctx, s)
		sleep(ctx, s.pause)
	}
}

// sleep waits, but not longer than ctx goes on.
func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

func (n *nemesis) count(name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.done[name]++
}

// chooser chooses the servers that something happens to.
type chooser func(n *nemesis, who uint64) []*server

func one(n *nemesis, who uint64) []*server {
	all := n.c.members()
	return []*server{all[who%uint64(len(all))]}
}

// theLeader is whoever leads now, if anybody does.
func theLeader(n *nemesis, who uint64) []*server {
	if m := n.c.membership(); m != nil {
		if s := n.c.get(m.Leader); s != nil {
			return []*server{s}
		}
	}
	return one(n, who)
}

func some(n *nemesis, who uint64, count func(voters int) int) []*server {
	all := n.c.members()
	first := int(who) % len(all)
	return slices.Concat(all[first:], all[:first])[:count(len(all))]
}

func minority(n *nemesis, who uint64) []*server {
	return some(n, who, func(voters int) int { return (voters - 1) / 2 })
}

func majority(n *nemesis, who uint64) []*server {
	return some(n, who, func(voters int) int { return voters/2 + 1 })
}

func everyone(n *nemesis, _ uint64) []*server { return n.c.members() }

func (n *nemesis) kill(choose chooser) func(context.Context, step) {
	return func(ctx context.Context, s step) {
		victims := choose(n, s.who)
		for _, v := range victims {
			v.kill()
		}
		sleep(ctx, s.span)
		n.restart(victims)
		n.count(s.name)
	}
}

func (n *nemesis) restart(servers []*server) {
	for _, v := range servers {
		v.start()
	}
	for _, v := range servers {
		v.awaitServing()
	}
}

func (n *nemesis) stop(choose chooser) func(context.Context, step) {
	return func(_ context.Context, s step) {
		victims := choose(n, s.who)
		for _, v := range victims {
			v.running().pause()
		}
		// More than an election timeout, also at the end of the test.
		time.Sleep(2*electionTicks*tick + s.span)
		for _, v := range victims {
			v.running().resume()
		}
		n.count(s.name)
	}
}

func (n *nemesis) terminate(choose chooser) func(context.Context, step) {
	return func(ctx context.Context, s step) {
		victims := choose(n, s.who)
		for _, v := range victims {
			v.terminate()
		}
		sleep(ctx, s.span)
		n.restart(victims)
		n.count(s.name)
	}
}

// awaitAcquainted waits until a server of a new cluster knows where to ask the others: until
// then it could not tell them that it has moved, nor be told that it was removed.
func (n *nemesis) awaitAcquainted(s *server) {
	eventually(n.t, patience, fmt.Sprintf("server %d knows the others", s.id), func() error {
		st, err := s.status()
		for _, m := range st.Membership.Members {
			if m.Client == "" {
				err = fmt.Errorf("it does not know the address of %d for clients", m.ID)
			}
		}
		return err
	})
}

// moveOne starts a server at other addresses than before.
func (n *nemesis) moveOne(_ context.Context, s step) {
	v := one(n, s.who)[0]
	n.awaitAcquainted(v)
	v.terminate()
	v.move()
	v.start()
	v.awaitServing()
	n.awaitMember("moves", v, func(m *api.Member) bool {
		return m.Peer == v.proxy.address() && m.Client == "http://"+v.client
	})
	n.count(s.name)
}

// awaitMember waits until the latest configuration has a server as it should be.
func (n *nemesis) awaitMember(what string, s *server, ok func(m *api.Member) bool) {
	n.t.Helper()
	eventually(n.t, patience, fmt.Sprintf("server %d %s", s.id, what), func() error {
		latest := n.c.membership()
		if latest == nil {
			return errors.New("no server answers")
		}
		if m := latest.Find(s.id); m == nil || !ok(m) {
			return fmt.Errorf("it is %+v in %+v", m, latest)
		}
		return nil
	})
}

func isVoter(m *api.Member) bool { return m.Role == api.RoleVoter }

// add lets a new server join, which becomes a voter by itself.
func (n *nemesis) add(_ context.Context, s step) {
	if len(n.c.members()) >= maxServers {
		n.removeOne(one(n, s.who)[0])
	}
	n.awaitMember("becomes a voter", n.c.join(), isVoter)
	n.count("add")
}

func (n *nemesis) remove(choose chooser) func(context.Context, step) {
	return func(ctx context.Context, s step) {
		if len(n.c.members()) <= minServers {
			n.add(ctx, s)
		}
		n.removeOne(choose(n, s.who)[0])
		n.count(s.name)
	}
}

// insist makes a change of the membership until it is made. After an outcome that nobody
// knows it is made again until it turns out to have been: ErrNotFound for one that removes.
func (n *nemesis) insist(what string, change func() error) {
	n.t.Helper()
	eventually(n.t, patience, what, func() error {
		if err := change(); !errors.Is(err, client.ErrNotFound) {
			return err
		}
		return nil
	})
}

func (n *nemesis) removeOne(victim *server) {
	n.awaitAcquainted(victim)
	victim.running().mayEnd.Store(true)
	n.insist(fmt.Sprintf("server %d is removed", victim.id), func() error { return n.tryRemove(victim.id) })
	n.bury(victim)
}

// ask asks the servers that there are now to do something.
func (n *nemesis) ask(do func(ctx context.Context, cl *client.Client) error) error {
	cl := n.c.newClient()
	defer cl.Close()
	ctx, cancel := within(2 * time.Second)
	defer cancel()
	return do(ctx, cl)
}

func (n *nemesis) tryRemove(id uint64) error {
	return n.ask(func(ctx context.Context, cl *client.Client) error {
		_, err := cl.RemoveMember(ctx, id, false)
		return err
	})
}

// bury sees a server that was removed end because of that.
func (n *nemesis) bury(victim *server) {
	n.c.drop(victim)
	end := victim.awaitEnd()
	if end.status != 4 || !strings.Contains(end.text, "it was removed from the cluster") {
		n.t.Errorf("server %d was removed, and ended with status %d:\n%s", victim.id, end.status, end.text)
	}
}

// replace puts a new server in a voter's place, by a joint change.
func (n *nemesis) replace(choose chooser) func(context.Context, step) {
	return func(_ context.Context, s step) {
		next := n.c.join("--as-learner")
		n.awaitMember("becomes a learner", next, func(m *api.Member) bool { return m.Role == api.RoleLearner })
		next.own = nil // what counts from now on is what the cluster says
		victim := next
		for victim == next {
			victim = choose(n, s.who)[0]
			s.who++
		}
		n.awaitAcquainted(victim)
		victim.running().mayEnd.Store(true)
		n.insist(fmt.Sprintf("server %d replaces %d", next.id, victim.id), func() error {
			return n.ask(func(ctx context.Context, cl *client.Client) error {
				_, err := cl.Replace(ctx, victim.id, next.id)
				return err
			})
		})
		n.awaitMember("is a voter", next, isVoter)
		n.bury(victim)
		n.count(s.name)
	}
}

// transfer hands leadership over. That it does not succeed, with faults about, is no fault.
func (n *nemesis) transfer(_ context.Context, s step) {
	for try := range uint64(3) {
		err := n.ask(func(ctx context.Context, cl *client.Client) error {
			_, err := cl.Transfer(ctx, one(n, s.who+try)[0].id)
			return err
		})
		if err == nil {
			n.count(s.name)
			return
		}
	}
}

// faulty makes the network to some servers faulty for a while. What was connected before
// they refuse connections is reset, so that they have to be made anew.
func (n *nemesis) faulty(choose chooser, f proxyFaults) func(context.Context, step) {
	return func(ctx context.Context, s step) {
		var victims []*proxy
		for _, v := range choose(n, s.who) {
			victims = append(victims, v.currentProxy())
		}
		for _, v := range victims {
			v.set(f)
			if f.refuse {
				v.reset()
			}
		}
		sleep(ctx, s.span)
		for _, v := range victims {
			v.set(proxyFaults{})
		}
		n.count(s.name)
	}
}

func (n *nemesis) resetAll(ctx context.Context, s step) {
	for range 1 + s.who%4 {
		for _, v := range n.c.members() {
			v.currentProxy().reset()
		}
		sleep(ctx, s.span/4)
	}
	n.count(s.name)
}
