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

	"go.uber.org/zap"

	"github.com/quorate-raft/raft/examples/kv/api"
	"github.com/quorate-raft/raft/examples/kv/client"
	"github.com/quorate-raft/raft/replica"
)

// settle returns who the directory's server is, and makes that up at the first start.
func (s *Server) settle(ctx context.Context) (*identity, error) {
	id, err := readIdentity(s.cfg.Dir)
	if err != nil {
		return nil, err
	}
	if id != nil && !id.pending() {
		if len(s.cfg.Join) > 0 {
			id.Via = s.cfg.Join // those of the first start may be gone
		}
		return id, id.check(&s.cfg)
	}
	switch {
	case id != nil && len(s.cfg.Members) > 0:
		return nil, fmt.Errorf("%w: %s is of a server that has asked to join through %v", ErrIdentity, s.cfg.Dir, id.Via)
	case id != nil || len(s.cfg.Join) > 0:
		id, err = s.askToJoin(ctx, id)
	default:
		id, err = s.found()
	}
	if err != nil {
		return nil, err
	}
	// From here on a start with this directory is the same server's, also after a
	// crash: an ID is never given out twice, and a vote never forgotten.
	return id, id.save(s.cfg.Dir)
}

// found makes up the identity of a first member of a new cluster.
func (s *Server) found() (*identity, error) {
	id := &identity{Format: identityFormat, ID: s.cfg.ID, Log: logDir, First: s.cfg.Members}
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
	c, err := s.peerClient(asked)
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
	joined, err := c.Join(ctx, api.Join{ID: id.ID, Claim: id.Claim})
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

// peerClient returns a client for asking other servers.
func (s *Server) peerClient(urls []string) (*client.Client, error) {
	return client.New(client.Config{Endpoints: urls, TLS: s.cfg.JoinTLS})
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
	if len(urls) == 0 {
		return nil
	}
	c, err := s.peerClient(urls)
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
			s.fail(fmt.Errorf("%w: server %d by log entry %d or before, as another says", ErrRemoved, s.identity.ID, m.Index))
		}
		return nil
	})
}
