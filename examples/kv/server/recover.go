package server

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"

	"go.uber.org/zap"

	"github.com/quorate-raft/raft"
	"github.com/quorate-raft/raft/examples/kv/api"
	"github.com/quorate-raft/raft/examples/kv/store"
	pb "github.com/quorate-raft/raft/raftpb"
	"github.com/quorate-raft/raft/replica"
	"github.com/quorate-raft/raft/storage/pebblestore"
)

// RecoverConfig says what to make of a survivor.
type RecoverConfig struct {
	// Dir is the directory of the survivor, which must not run. Required.
	Dir string
	// Peer is the address for other servers, "host:port". Default: the one that the
	// server had.
	Peer string
	// DryRun changes nothing: the result says what would be done.
	DryRun bool
	// Logger takes what is worth a line. Default: nothing is logged.
	Logger *zap.Logger
}

// Recovered says what became of a survivor. Terms and indexes are of the log: the
// survivor to recover is the one with the highest LastTerm, and of those the one with
// the highest Last.
type Recovered struct {
	ID uint64
	// OldCluster and Cluster are the IDs of the cluster that was, and the new one.
	OldCluster, Cluster string
	// OldMembers are those of the configuration that is given up.
	OldMembers []uint64
	// Applied is up to where the state was, Commit up to where the survivor knew that
	// the log is committed. What comes after that, up to Last, may have been
	// acknowledged to clients or not, and is taken for committed.
	Applied, Commit, Last, LastTerm uint64
	// Removed says that the old cluster had removed this server: others may have more.
	Removed bool
	// OldLog is the directory of the log as it was, which is kept.
	OldLog string
}

// ErrNothingToRecover: the directory holds no member's data.
var ErrNothingToRecover = errors.New("server: there is nothing to recover")

// Recover makes the only member of a new cluster out of a server whose cluster has
// lost its quorum for good. It is unsafe: writes that were acknowledged by others and
// did not reach this server are lost, and nobody can tell. What there is in its log is
// kept, also what it did not know to be committed.
//
// The new cluster has a new ID, so that a member of the old one that comes back is not
// let in, and changes nothing. Everything is written beside what there was, and one
// renaming makes it count, so that a crash leaves the old or the new. The error matches
// ErrInUse, ErrDamaged or ErrNothingToRecover, or is one of the disk.
func Recover(c RecoverConfig) (Recovered, error) {
	c.Logger = cmp.Or(c.Logger, zap.NewNop())
	if c.Peer != "" {
		if err := checkAddress("Peer", c.Peer, true); err != nil {
			return Recovered{}, fmt.Errorf("%w: %w", ErrInvalidConfig, err)
		}
	}
	if _, err := os.Stat(filepath.Join(c.Dir, identityFile)); err != nil {
		return Recovered{}, fmt.Errorf("%w: %w", ErrNothingToRecover, err)
	}
	lock, err := lockDir(c.Dir)
	if err != nil {
		return Recovered{}, err
	}
	defer lock.Close()
	id, err := readIdentity(c.Dir)
	if err != nil {
		return Recovered{}, err
	}
	if id.pending() {
		return Recovered{}, fmt.Errorf("%w: the server has asked to join, and had no answer", ErrNothingToRecover)
	}
	r := &recovery{RecoverConfig: c, old: *id, next: *id}
	r.next.Cluster = newClusterID()
	r.next.Log = logDir + "-" + r.next.Cluster.String()
	r.next.Before, r.next.Lived, r.next.Removed = id.Cluster, true, 0
	r.next.First, r.next.Peers, r.next.Via, r.next.Joining = nil, nil, nil, ""
	result, err := r.run()
	if err != nil {
		return result, fmt.Errorf("server: recovering %s: %w", c.Dir, err)
	}
	return result, nil
}

type recovery struct {
	RecoverConfig
	old, next identity
	log       *pebblestore.Storage
	result    Recovered
	// unapplied says that the state on the disk is of no entry at all.
	unapplied bool
}

func (r *recovery) run() (result Recovered, err error) {
	engine, err := pebblestore.Open(filepath.Join(r.Dir, r.old.Log), &pebblestore.Options{
		ClusterID: uint64(r.old.Cluster), NodeID: r.old.ID, Logger: r.Logger,
	})
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, engine.Close()) }()
	if r.log, err = engine.Group(group); err != nil {
		return result, err
	}
	if err := r.log.Verify(); err != nil {
		return result, err
	}
	rd, err := r.plan()
	if err != nil || r.DryRun {
		return r.result, err
	}
	if r.unapplied {
		if err := r.applyFirst(); err != nil {
			return result, err
		}
	}
	if err := r.writeLog(rd); err != nil {
		return result, err
	}
	return r.result, r.next.save(r.Dir)
}

// plan returns what the new log holds, and fills in the result.
func (r *recovery) plan() (rd raft.Ready, err error) {
	applied, err := r.applied()
	if err != nil {
		return rd, err
	}
	hs, cs, err := r.log.InitialState()
	if err != nil {
		return rd, err
	}
	if len(cs.Voters) == 0 {
		return rd, fmt.Errorf("%w: the server never was a member", ErrNothingToRecover)
	}
	last, err := r.log.LastIndex()
	if err != nil {
		return rd, err
	}
	lastTerm, err := r.log.Term(last)
	if err != nil {
		return rd, err
	}
	r.result = Recovered{
		ID: r.old.ID, OldCluster: r.old.Cluster.String(), Cluster: r.next.Cluster.String(),
		OldMembers: append(append([]uint64(nil), cs.Voters...), cs.Learners...),
		Removed:    r.old.Removed != 0 || r.old.wasRemoved(cs.Index) && !contains(&cs, r.old.ID),
		Applied:    applied, Commit: hs.Commit, Last: last, LastTerm: lastTerm, OldLog: filepath.Join(r.Dir, r.old.Log),
	}
	if applied == 0 {
		// What is applied is made durable now and then, so that a server which is killed
		// early has it in its log alone.
		if applied, err = r.first(); err != nil {
			return rd, err
		}
		r.unapplied = true
	}
	if applied > last {
		return rd, fmt.Errorf("%w: the state is of log entry %d, the log ends at %d", ErrDamaged, applied, last)
	}
	return r.newLog(applied, last, hs, &cs)
}

// applied returns the last entry that the state holds.
func (r *recovery) applied() (uint64, error) {
	state, err := openState(r.Dir, &r.old, r.Logger)
	if err != nil {
		return 0, err
	}
	applied, err := state.Applied()
	return applied, errors.Join(err, state.Close())
}

// first returns the first log entry, if it is one that changes no state: then the state
// before it is that after it.
func (r *recovery) first() (uint64, error) {
	if first, err := r.log.FirstIndex(); err != nil || first != 1 {
		return 0, errors.Join(err, fmt.Errorf("%w: the state is empty, and the log begins at %d (start the server once, if a snapshot is to be restored)", ErrDamaged, first))
	}
	entries, err := r.log.Entries(1, 2, math.MaxUint64)
	if err != nil {
		return 0, err
	}
	if entries[0].Type == pb.EntryNormal {
		return 0, fmt.Errorf("%w: the log does not begin with the cluster's first member", ErrDamaged)
	}
	return 1, nil
}

// applyFirst makes the empty state one of the first entry.
func (r *recovery) applyFirst() error {
	state, err := openState(r.Dir, &r.old, r.Logger)
	if err != nil {
		return err
	}
	err = state.Apply([]replica.Command{{Index: 1}}) // no command at all, which changes nothing
	if err == nil {
		err = state.Sync()
	}
	return errors.Join(err, state.Close())
}

// newLog begins with a snapshot, which the state is, of a configuration with this
// member alone; then comes what is not applied yet. It is all committed, since there
// is no one else to say otherwise. Changes of the old configuration count no more.
func (r *recovery) newLog(applied, last uint64, hs pb.HardState, cs *pb.ConfState) (rd raft.Ready, err error) {
	term, err := r.log.Term(applied)
	if err != nil {
		return rd, fmt.Errorf("the state is of log entry %d, which the log does not reach back to (start the server once, if a snapshot is to be restored): %w", applied, err)
	}
	own := api.Addresses{Peer: r.Peer}
	for _, m := range cs.Members {
		if m.ID == r.old.ID && own.Peer == "" {
			own = decodeContext(string(m.Context))
		}
	}
	if own.Peer == "" {
		return rd, fmt.Errorf("%w: the server's address for others is not known: Peer (--peer) must be given", ErrInvalidConfig)
	}
	r.next.Member = applied
	rd.Snapshot.Metadata = pb.SnapshotMetadata{
		Index: applied, Term: term,
		ConfState: pb.ConfState{
			Voters: []uint64{r.old.ID}, Index: applied,
			Members: []pb.Member{{ID: r.old.ID, Context: []byte(encodeContext(own))}},
		},
	}
	if applied < last {
		if rd.Entries, err = r.log.Entries(applied+1, last+1, math.MaxUint64); err != nil {
			return rd, err
		}
	}
	for i := range rd.Entries {
		if e := &rd.Entries[i]; e.Type != pb.EntryNormal {
			*e = pb.Entry{Term: e.Term, Index: e.Index}
		}
	}
	// The new configuration does not tell which IDs were those of members. No server of the
	// old cluster, and none that was about to join it, has a place in the new one.
	rd.Entries = append(rd.Entries, pb.Entry{Term: r.result.LastTerm, Index: last + 1, Data: store.EncodeRetireMembers(0, r.highest(cs))})
	rd.HardState = pb.HardState{Term: hs.Term, Vote: hs.Vote, Commit: last + 1}
	rd.MustSync = true
	return rd, nil
}

// highest returns the highest ID that the old configuration tells of. Who came later asked
// for an ID, which the state knows of.
func (r *recovery) highest(cs *pb.ConfState) uint64 {
	highest := r.old.ID
	for _, ids := range [][]uint64{cs.Voters, cs.VotersOutgoing, cs.Learners, slices.Collect(maps.Keys(r.old.First))} {
		for _, id := range ids {
			highest = max(highest, id)
		}
	}
	return highest
}

// writeLog writes the new log. Nothing of it counts before the identity names it.
func (r *recovery) writeLog(rd raft.Ready) error {
	engine, err := pebblestore.Open(filepath.Join(r.Dir, r.next.Log), &pebblestore.Options{
		ClusterID: uint64(r.next.Cluster), NodeID: r.next.ID, Logger: r.Logger,
	})
	if err != nil {
		return err
	}
	log, err := engine.Group(group)
	if err == nil {
		err = log.Save(rd)
	}
	return errors.Join(err, engine.Close())
}

func contains(cs *pb.ConfState, id uint64) bool {
	return slices.Contains(slices.Concat(cs.Voters, cs.VotersOutgoing, cs.Learners, cs.LearnersNext), id)
}
