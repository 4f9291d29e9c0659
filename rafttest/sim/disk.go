package sim

import (
	"errors"
	"fmt"

	"github.com/quorate-raft/raft"
	pb "github.com/quorate-raft/raft/raftpb"
)

// disk is a node's disk, seen through a write-ahead log with checksums: what is
// written goes to the end as one record after the other, a sync makes all of
// them durable, and a power failure may lose, tear or reorder those that are not.
// Recovery reads up to the first record that is not whole, so what survives is
// always a beginning of what was written.
//
// It is the raft.Storage of the node, which sees what is written.
type disk struct {
	written image
	durable image
	// unsynced are the records that written has and durable has not.
	unsynced []record
	count    uint64 // records ever written

	// rotten is the index of a durable entry that can no longer be read, or 0.
	rotten uint64
	// wiped says that everything is gone; the host knows by a marker elsewhere.
	wiped bool
	// readFails makes reads of entries fail, writeFails and syncFails the next
	// write or sync, full all writes.
	readFails, writeFails, syncFails, full bool
	// misread makes the next read of entries that is granted return another entry
	// for one: see misread, whose shift it is.
	misread bool
	misled  bool // it did
	shift   uint64
	// stalledUntil is the time before which no write gets done, busyUntil that
	// at which the last one will be.
	stalledUntil, busyUntil int64
	// noSnapshot says that the snapshot is being made right now.
	noSnapshot bool
}

var (
	errRot     = errors.New("checksum mismatch")
	errRead    = errors.New("input/output error")
	errFull    = errors.New("no space left on device")
	errNoWrite = errors.New("write failed")
	errSync    = errors.New("sync failed")
)

// record is one write: a Ready's, or one that the host makes on its own.
type record struct {
	hs       pb.HardState
	ents     []pb.Entry
	snap     *pb.Snapshot
	received bool          // snap came in a Ready and replaces the log
	conf     *pb.ConfState // after a change was applied
	compact  uint64        // drop entries up to here
}

// image is the content of a disk.
type image struct {
	hs       pb.HardState
	conf     pb.ConfState
	snap     pb.Snapshot
	base     uint64 // the entry before the first
	baseTerm uint64
	ents     []pb.Entry
	// shared says that ents were handed out: they are never overwritten then.
	shared bool
}

func (im *image) last() uint64 { return im.base + uint64(len(im.ents)) }

func (im *image) term(i uint64) (uint64, bool) {
	switch {
	case i == im.base:
		return im.baseTerm, true
	case i < im.base || i > im.last():
		return 0, false
	}
	return im.ents[i-im.base-1].Term, true
}

// after returns the entries past index i.
func (im *image) after(i uint64) []pb.Entry {
	if i >= im.last() {
		return nil
	}
	return im.ents[max(i, im.base)-im.base:]
}

func (im *image) apply(r *record) {
	if r.snap != nil {
		im.saveSnapshot(r.snap, r.received)
	}
	if len(r.ents) > 0 {
		im.append(r.ents)
	}
	if r.hs != (pb.HardState{}) {
		im.hs = r.hs
	}
	if r.conf != nil && r.conf.Index >= im.conf.Index {
		im.conf = *r.conf
	}
	if r.compact > im.base {
		im.compact(r.compact)
	}
}

func (im *image) saveSnapshot(snap *pb.Snapshot, received bool) {
	if snap.Metadata.Index <= im.snap.Metadata.Index {
		return
	}
	im.snap = *snap
	conf := snap.Metadata.ConfState
	if conf.Index == 0 {
		conf.Index = snap.Metadata.Index // it does not say which entry it is of
	}
	if received || conf.Index >= im.conf.Index {
		im.conf = conf
	}
	if received {
		im.base, im.baseTerm = snap.Metadata.Index, snap.Metadata.Term
		im.ents = nil
	}
}

func (im *image) append(ents []pb.Entry) {
	for len(ents) > 0 && ents[0].Index <= im.base {
		ents = ents[1:]
	}
	if len(ents) == 0 {
		return
	}
	keep := ents[0].Index - im.base - 1
	if keep > uint64(len(im.ents)) {
		panic(fmt.Sprintf("sim: entry %d written after %d", ents[0].Index, im.last()))
	}
	switch kept := im.ents[:keep]; {
	case im.shared && (len(kept) < len(im.ents) || len(kept)+len(ents) > cap(kept)):
		// In pieces: compaction leaves the array behind, so that doubling it
		// would never end.
		im.ents = append(make([]pb.Entry, 0, len(kept)+len(ents)+256), kept...)
	default:
		im.ents = kept
	}
	im.ents = append(im.ents, ents...)
}

func (im *image) compact(to uint64) {
	to = min(to, im.last())
	im.baseTerm, _ = im.term(to)
	rest := im.ents[to-im.base:]
	im.base = to
	if im.shared {
		im.ents = rest
		return
	}
	n := copy(im.ents, rest)
	clear(im.ents[n:])
	im.ents = im.ents[:n]
}

func newDisk() *disk {
	d := &disk{}
	d.written.shared = true
	return d
}

// format makes the disk that of a first member.
func (d *disk) format(snap pb.Snapshot) {
	r := record{snap: &snap, received: true}
	d.written.apply(&r)
	d.durable.apply(&r)
}

// write adds a record.
func (d *disk) write(r record) {
	d.written.apply(&r)
	d.unsynced = append(d.unsynced, r)
	d.count++
}

// syncTo makes the first end records that were ever written durable.
func (d *disk) syncTo(end uint64) {
	if synced := d.count - uint64(len(d.unsynced)); end > synced {
		d.sync(int(end - synced))
	}
}

// sync makes the oldest n records durable.
func (d *disk) sync(n int) {
	for i := range d.unsynced[:n] {
		d.durable.apply(&d.unsynced[i])
	}
	left := copy(d.unsynced, d.unsynced[n:])
	clear(d.unsynced[left:])
	d.unsynced = d.unsynced[:left]
}

// fail is what a crash leaves: the durable records and the first n of the
// others. What is left is durable, since recovery syncs it.
func (d *disk) fail(n int) {
	all := n == len(d.unsynced)
	d.sync(n)
	d.unsynced = d.unsynced[:0]
	d.busyUntil = 0
	if all {
		return
	}
	ents := append([]pb.Entry(nil), d.durable.ents...)
	d.written = d.durable
	d.written.ents, d.written.shared = ents, true
}

// openable says why the disk cannot be used, as recovery finds out.
func (d *disk) openable() error {
	switch {
	case d.wiped:
		return errors.New("the disk of a member is empty")
	case d.rotten != 0 && d.rotten > d.durable.base:
		return fmt.Errorf("entry %d: %w", d.rotten, errRot)
	}
	return nil
}

// The raft.Storage.

func (d *disk) InitialState() (pb.HardState, pb.ConfState, error) {
	return d.written.hs, d.written.conf, nil
}

func (d *disk) Entries(lo, hi, maxSize uint64) ([]pb.Entry, error) {
	im := &d.written
	switch {
	case lo <= im.base:
		return nil, raft.ErrCompacted
	case hi > im.last()+1 || lo >= hi:
		return nil, raft.ErrUnavailable
	case d.readFails:
		return nil, errRead
	case lo <= d.rotten && d.rotten < hi:
		return nil, errRot
	}
	ents := im.ents[lo-im.base-1 : hi-im.base-1]
	size := uint64(0)
	for i := range ents {
		size += uint64(ents[i].Size())
		if size > maxSize && i > 0 {
			ents = ents[:i]
			break
		}
	}
	if d.misread {
		d.misread, d.misled = false, true
		return misread(ents, d.shift), nil
	}
	return ents[:len(ents):len(ents)], nil
}

func (d *disk) Term(i uint64) (uint64, error) {
	if t, ok := d.written.term(i); ok {
		return t, nil
	}
	if i < d.written.base {
		return 0, raft.ErrCompacted
	}
	return 0, raft.ErrUnavailable
}

func (d *disk) LastIndex() (uint64, error) { return d.written.last(), nil }

func (d *disk) FirstIndex() (uint64, error) { return d.written.base + 1, nil }

func (d *disk) Snapshot() (pb.Snapshot, error) {
	if d.noSnapshot {
		return pb.Snapshot{}, raft.ErrSnapshotTemporarilyUnavailable
	}
	return d.written.snap, nil
}

// What it holds durably, for the invariants.

func (d *disk) Durable() (hs pb.HardState, base, last uint64) {
	return d.durable.hs, d.durable.base, d.durable.last()
}

func (d *disk) DurableTerm(i uint64) (uint64, bool) { return d.durable.term(i) }
