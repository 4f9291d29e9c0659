package store

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// identity is whose the directory is; 0 is not known.
type identity struct {
	cluster, node uint64
}

// IdentityError refuses to open a directory for a server that it does not belong to.
// It matches ErrIdentity.
type IdentityError struct {
	Dir string
	// ClusterID and NodeID are whose the directory is.
	ClusterID, NodeID uint64
	// WantClusterID and WantNodeID are those of Options.
	WantClusterID, WantNodeID uint64
}

// Error names both servers.
func (e *IdentityError) Error() string {
	return fmt.Sprintf("store: %s belongs to node %d of cluster %d, opened for node %d of cluster %d",
		e.Dir, e.NodeID, e.ClusterID, e.WantNodeID, e.WantClusterID)
}

// Is says that the error is an ErrIdentity.
func (e *IdentityError) Is(target error) bool { return target == ErrIdentity }

// identify compares whose the directory is with the options, and writes down what was
// not known of it.
func (s *Store) identify(m meta) error {
	want, have := identity{s.o.ClusterID, s.o.NodeID}, m.owner
	if have.cluster != 0 && have.cluster == s.o.rebrand {
		want.cluster = have.cluster
	}
	if differs(want.cluster, have.cluster) || differs(want.node, have.node) {
		return &IdentityError{
			Dir: s.dir, ClusterID: have.cluster, NodeID: have.node,
			WantClusterID: want.cluster, WantNodeID: want.node,
		}
	}
	return s.setOwner(m, identity{max(want.cluster, have.cluster), max(want.node, have.node)})
}

func differs(want, have uint64) bool { return want != 0 && have != 0 && want != have }

// setOwner makes the directory somebody's, durably. m is as on the disk.
func (s *Store) setOwner(m meta, owner identity) error {
	s.owner = owner
	if m.owner == owner {
		return nil
	}
	m.owner = owner
	return s.write("commit", func() error { return s.db.Set(metaKey, m.append(nil), pebble.Sync) })
}

// Rebrand gives a directory, which nobody has open, to the cluster clusterID, which is
// not 0. The state and the node's ID stay as they are. It is for a server that is made the
// first of a new cluster from what is left of another.
//
// Options, which may be nil, say whose the directory is, as for Open; it may also be
// clusterID's already, so that a Rebrand of which the outcome was not heard can be
// tried again. After a crash the directory is of the one cluster or of the other, and
// once Rebrand returned nil, of clusterID. Unlike Open it does not make a directory, and
// returns an error where there is none.
func Rebrand(dir string, o *Options, clusterID uint64) error {
	if clusterID == 0 {
		return errors.New("store: a directory cannot be given to cluster 0")
	}
	if err := o.Validate(); err != nil {
		return err
	}
	filled := o.withDefaults()
	filled.mustExist, filled.rebrand = true, clusterID
	s, err := Open(dir, &filled)
	if err != nil {
		return err
	}
	m := meta{generation: s.generation, applied: s.applied.Load(), owner: s.owner}
	err = s.setOwner(m, identity{cluster: clusterID, node: s.owner.node})
	if closed := s.Close(); err == nil {
		err = closed
	}
	return err
}
