package mixed

import (
	"errors"
	"math"

	"go.etcd.io/raft/v3"
	tpb "go.etcd.io/raft/v3/raftpb"

	"github.com/quorate-raft/raft/confchange"
	"github.com/quorate-raft/raft/interop/etcdraft"

	ours "github.com/quorate-raft/raft"
	opb "github.com/quorate-raft/raft/raftpb"
)

// storage is a storage of ours as etcd's raft reads it.
type storage struct {
	ours ours.Storage
	hs   tpb.HardState
	// conf is the configuration as of applied, which etcd's raft starts from; the
	// storage may hold an older or a later one.
	conf    opb.ConfState
	applied uint64
	// unsaid is the hard state if it is not that of the storage.
	unsaid opb.HardState
}

func openStorage(c *ours.Config) (*storage, error) {
	hs, conf, err := c.Storage.InitialState()
	if err != nil {
		return nil, err
	}
	last, err := c.Storage.LastIndex()
	if err != nil {
		return nil, err
	}
	snap, err := c.Storage.Snapshot()
	if err != nil && !errors.Is(err, ours.ErrSnapshotTemporarilyUnavailable) {
		return nil, err
	}
	d := &storage{ours: c.Storage, applied: max(c.Applied, snap.Metadata.Index)}
	// The term of a log without a hard state, and the commit index that a state
	// machine shows which is ahead of the disk: etcd's raft has to be told.
	term, err := c.Storage.Term(last)
	if err != nil {
		return nil, err
	}
	want := hs
	if want.Term < term {
		want = opb.HardState{Term: term, Commit: hs.Commit}
	}
	want.Commit = max(want.Commit, d.applied)
	if want != hs {
		d.unsaid = want
	}
	d.hs = tpb.HardState{Term: want.Term, Vote: want.Vote, Commit: want.Commit}
	return d, d.fold(conf, &snap)
}

// fold finds the configuration as of what is applied.
func (d *storage) fold(conf opb.ConfState, snap *opb.Snapshot) error {
	from := conf.Index
	if from > d.applied {
		conf = snap.Metadata.ConfState
		from = snap.Metadata.Index
		if conf.Index == 0 {
			conf.Index = from
		}
	}
	first, err := d.ours.FirstIndex()
	if err != nil {
		return err
	}
	d.conf = conf
	if from = max(from+1, first); from > d.applied {
		return nil
	}
	ents, err := d.ours.Entries(from, d.applied+1, math.MaxUint64)
	if err != nil {
		return err
	}
	cfg, err := confchange.Restore(conf)
	if err != nil {
		return err
	}
	for i := range ents {
		if ents[i].Type == opb.EntryNormal {
			continue
		}
		cc, err := opb.UnmarshalConfChange(ents[i])
		if err != nil {
			return err
		}
		if cfg, err = confchange.ApplyAt(cfg, cc.AsV2(), ents[i].Index); err != nil {
			return err
		}
		d.conf = cfg.ConfState()
		d.conf.Index = ents[i].Index
	}
	return nil
}

func (d *storage) InitialState() (tpb.HardState, tpb.ConfState, error) {
	return d.hs, etcdraft.FromConf(&d.conf), nil
}

func (d *storage) Entries(lo, hi, maxSize uint64) ([]tpb.Entry, error) {
	ents, err := d.ours.Entries(lo, hi, maxSize)
	return etcdraft.FromEntries(ents), translate(err)
}

func (d *storage) Term(i uint64) (uint64, error) {
	t, err := d.ours.Term(i)
	return t, translate(err)
}

func (d *storage) LastIndex() (uint64, error) { return d.ours.LastIndex() }

func (d *storage) FirstIndex() (uint64, error) { return d.ours.FirstIndex() }

func (d *storage) Snapshot() (tpb.Snapshot, error) {
	snap, err := d.ours.Snapshot()
	return *etcdraft.FromSnapshot(&snap), translate(err)
}

// translate returns the error that etcd's raft knows.
func translate(err error) error {
	switch {
	case errors.Is(err, ours.ErrCompacted):
		return raft.ErrCompacted
	case errors.Is(err, ours.ErrUnavailable):
		return raft.ErrUnavailable
	case errors.Is(err, ours.ErrSnapshotTemporarilyUnavailable):
		return raft.ErrSnapshotTemporarilyUnavailable
	}
	return err
}
