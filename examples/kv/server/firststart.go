package server

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"go.uber.org/zap"

	"github.com/quorate-raft/raft/examples/kv/api"
	"github.com/quorate-raft/raft/examples/kv/client"
	"github.com/quorate-raft/raft/replica"
)

// settle returns who the directory's server is, and makes that up at the first start,
// which it reports as fresh; then it is not written yet.
func (s *Server) settle(ctx context.Context) (id *identity, fresh bool, err error) {
	if id, err = readIdentity(s.cfg.Dir); err != nil {
		return nil, false, err
	}
	if id != nil && !id.pending() {
		if err := id.check(&s.cfg); err != nil {
			return nil, false, err
		}
		if len(s.cfg.Join) > 0 {
			id.Via = s.cfg.Join // those of the first start may be gone
			err = s.checkJoined(ctx, id)
		}
		return id, false, err
	}
	switch {
	case id != nil && len(s.cfg.Members) > 0:
		return nil, false, fmt.Errorf("%w: %s is of a server that has asked to join through %v", ErrIdentity, s.cfg.Dir, id.Via)
	case id != nil || len(s.cfg.Join) > 0:
		id, err = s.askToJoin(ctx, id)
	default:
		id, err = s.found()
	}
	return id, true, err
}

// checkJoined refuses a directory that is of another cluster than the one to join, as
// far as that answers: the server has joined already, and does not need it.
func (s *Server) checkJoined(ctx context.Context, id *identity) error {
	c, err := s.peerClient(s.cfg.Join, "")
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(ctx, aloneInterval)
	defer cancel()
	if m, err := c.Members(ctx); err == nil && m.Cluster != id.Cluster.String() {
		return fmt.Errorf("%w: %s is of server %d of cluster %v, not of cluster %s, which it is to join", ErrIdentity, s.cfg.Dir, id.ID, id.Cluster, m.Cluster)
	}
	return nil
}

// found makes up the identity of a first member of a new cluster.
func (s *Server) found() (*identity, error) {
	id := &identity{Format: identityFormat, Name: s.cfg.Cluster, ID: s.cfg.ID, Log: logDir, First: s.cfg.Members}
	if len(id.First) > 0 {
		id.Member = uint64(len(id.First)) // the log begins with an entry for each
		id.Cluster = groupClusterID(s.cfg.Cluster, id.First)
		return id, nil
	}
	id.ID = cmp.Or(id.ID, 1)
	id.First = map[uint64]string{id.ID: s.addresses.Peer}
	id.Member = uint64(len(id.First))
	id.Cluster = newClusterID()
	return id, nil
}

// groupClusterID is the ID of a cluster that several servers make up together: without
// a word between them they have to come to the same.
func groupClusterID(name string, members map[uint64]string) clusterID {
	h := sha256.New()
	fmt.Fprintf(h, "%q", name)
	for _, id := range slices.Sorted(maps.Keys(members)) {
		fmt.Fprintf(h, " %d=%q", id, members[id])
	}
	return clusterID(max(1, binary.BigEndian.Uint64(h.Sum(nil))))
}

func newClusterID() clusterID { return clusterID(randomID()) }

// randomID returns a number that nobody else has come to, and that is not 0.
func randomID() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return max(1, binary.BigEndian.Uint64(b[:]))
}

// askToJoin asks the cluster for an identity. It changes nothing there but that the ID is
// the claim's, so it may be given up, or tried again: pending is what an earlier try left.
func (s *Server) askToJoin(ctx context.Context, pending *identity) (*identity, error) {
	id := s.claim(pending)
	asked := id.Via
	c, err := s.peerClient(asked, "")
	if err != nil {
		return nil, err
	}
	defer c.Close()
	// If the answer is lost, or this process is, the claim gets the same ID once more. So it
	// must outlast them.
	if err := id.save(s.cfg.Dir); err != nil {
		return nil, err
	}
	s.log.Info("asking to join", zap.Strings("servers", asked))
	joined, err := s.joinThrough(ctx, c, api.Join{ID: id.ID, Claim: id.Claim})
	if err != nil {
		return nil, fmt.Errorf("server: joining through %v: %w", asked, err)
	}
	cluster, err := strconv.ParseUint(joined.Cluster, 16, 64)
	if err != nil || cluster == 0 || joined.ID == 0 || id.ID != 0 && joined.ID != id.ID || len(joined.Members) == 0 {
		return nil, fmt.Errorf("server: joining through %v: the answer makes no sense: %+v", asked, joined)
	}
	id.Cluster, id.ID, id.Log = clusterID(cluster), joined.ID, logDir
	id.Peers, id.Via = map[uint64]string{}, nil
	for _, m := range joined.Members {
		id.Peers[m.ID] = encodeContext(m.Addresses)
		if m.Client != "" {
			id.Via = append(id.Via, m.Client)
		}
	}
	id.Via = append(id.Via, asked...)
	return id, nil
}

// joinThrough asks until there is an answer, and says why there is none.
func (s *Server) joinThrough(ctx context.Context, c *client.Client, request api.Join) (api.Joined, error) {
	for {
		try, cancel := context.WithTimeout(ctx, worthALine)
		joined, err := c.Join(try, request)
		tooLong := try.Err() != nil
		cancel()
		if err == nil || ctx.Err() != nil || !tooLong { // then it is a refusal
			return joined, err
		}
		s.log.Info("asking to join again", zap.Error(err))
	}
}

// claim returns the identity of a server that is about to ask for one. What it asks for may
// be another thing than the last time; the claim stays.
func (s *Server) claim(pending *identity) *identity {
	id := &identity{Format: identityFormat, Claim: randomID()}
	if pending != nil {
		*id = *pending
	}
	if len(s.cfg.Join) == 0 {
		id.ID = cmp.Or(s.cfg.ID, id.ID)
		return id
	}
	id.ID, id.Via, id.Joining = s.cfg.ID, s.cfg.Join, api.RoleVoter
	if s.cfg.AsLearner {
		id.Joining = api.RoleLearner
	}
	return id
}

// peerClient returns a client for asking other servers, of a cluster or of any.
func (s *Server) peerClient(urls []string, cluster string) (*client.Client, error) {
	return client.New(client.Config{Endpoints: urls, TLS: s.cfg.JoinTLS, Cluster: cluster})
}

// otherURLs returns where other servers are to be asked: the members, and those through
// which this one joins.
func (s *Server) otherURLs(st *replica.Status) (urls []string) {
	for _, m := range s.membership(st).Members {
		if m.ID != s.identity.ID && m.Client != "" {
			urls = append(urls, m.Client)
		}
	}
	for _, url := range s.identity.Via {
		if !slices.Contains(urls, url) {
			urls = append(urls, url)
		}
	}
	return urls
}

// askOthers lets do ask other servers, if there are any.
func (s *Server) askOthers(urls []string, do func(c *client.Client) error) error {
	if s.cfg.JoinTLS != nil { // then those that have not changed to TLS yet are not asked
		urls = slices.DeleteFunc(urls, func(url string) bool { return strings.HasPrefix(url, "http://") })
	}
	if len(urls) == 0 {
		return nil
	}
	c, err := s.peerClient(urls, s.identity.Cluster.String())
	if err != nil {
		return err
	}
	defer c.Close()
	return do(c)
}

func (s *Server) askToBeAdded(ctx context.Context, st *replica.Status) error {
	return s.askOthers(s.otherURLs(st), func(c *client.Client) error {
		joined, err := c.AddMember(ctx, api.NewMember{ID: s.identity.ID, Claim: s.identity.Claim, Addresses: s.addresses})
		var refused *api.Error
		if errors.As(err, &refused) && refused.Code == api.CodeTaken {
			// The ID was this server's, and it is no member: so it was one, and was removed
			// before it knew. Nobody will ever add it.
			s.fail(fmt.Errorf("%w: server %d: %w", ErrRemoved, s.identity.ID, err))
			return nil
		}
		if err != nil {
			return fmt.Errorf("asking to be added: %w", err)
		}
		// The log brings it, after all that came before. To ask once more could undo a
		// removal.
		return s.noteMember(joined.Index)
	})
}

// noteMember remembers that the server is a member by a configuration.
func (s *Server) noteMember(index uint64) error {
	s.identity.Member = max(s.identity.Member, index)
	return s.identity.save(s.cfg.Dir)
}

func (s *Server) askToBePromoted(ctx context.Context, st *replica.Status) error {
	return s.askOthers(s.otherURLs(st), func(c *client.Client) error {
		if _, err := c.Promote(ctx, s.identity.ID); err != nil {
			return fmt.Errorf("asking to be made a voter: %w", err)
		}
		return nil
	})
}

// askIfRemoved asks the others whether a later configuration than the one here does
// without this server.
func (s *Server) askIfRemoved(ctx context.Context, st *replica.Status) {
	_ = s.askOthers(s.otherURLs(st), func(c *client.Client) error {
		m, err := c.Members(ctx)
		if err == nil && m.Cluster == s.identity.Cluster.String() && m.Index > max(st.ConfigIndex, s.identity.Member) && m.Find(s.identity.ID) == nil {
			s.removed(m.Index, " or before, as another says")
		}
		return nil
	})
}
