package raft

import (
	"errors"
	"fmt"

	"go.uber.org/zap"

	"github.com/quorate-raft/raft/confchange"
	pb "github.com/quorate-raft/raft/raftpb"
)

// StateType is a node's role (Raft figure 4). Being a learner is no role but a
// property of the configuration: a learner is a follower that nobody counts.
type StateType uint8

// The roles.
const (
	StateFollower StateType = iota
	StateCandidate
	StateLeader
	StatePreCandidate
)

var roleNames = [...]string{"StateFollower", "StateCandidate", "StateLeader", "StatePreCandidate"}

// String returns the role's name.
func (st StateType) String() string {
	if int(st) < len(roleNames) {
		return roleNames[st]
	}
	return fmt.Sprintf("StateType(%d)", uint8(st))
}

// Bounds on what is believed from the wire and from Storage, far below where
// arithmetic would wrap.
const (
	maxIndex = 1 << 62
	maxTerm  = 1 << 62
	// reservedIndexes are kept from proposals for what leaders append on their
	// own: the first entry of a term, and leaving a joint configuration.
	reservedIndexes = 1 << 20
	// maxStoredIndex bounds what Storage may hold: a leader opens its term even
	// where a hostile message moved the log to its end.
	maxStoredIndex = 2 * maxIndex
)

// transferContext marks a vote request of a candidate that its leader told to
// campaign: it is not refused for that leader's sake (dissertation §4.2.3).
// The bytes are those that other implementations of this wire format use.
const transferContext = "CampaignTransfer"

// raft is the protocol's state machine: inputs change it, and what should
// happen outside is left in msgs, promises, reads and the log for Ready.
type raft struct {
	cfg    *Config // defaults filled
	logger *zap.Logger
	id     uint64

	// Persistent state (Raft figure 2), with the log.
	term uint64
	vote uint64
	log  *raftLog
	conf membership

	// Volatile state of all roles. Only transitions.go writes role. The small fields are
	// together, since a host may have many nodes.
	role StateType
	// remembers says that a term is durable, so that a restart knows that this
	// node may have promised something.
	remembers bool
	// stalled forbids to campaign: the node stepped down because its disk
	// does not answer, and it has not answered since.
	stalled bool
	// asleep says that the node waits to be woken, see sleep.go.
	asleep   bool
	stepDown StepDownReason
	lead     uint64
	// elapsed counts ticks since the node last heard from a leader, granted a
	// vote or campaigned; at timeout it campaigns.
	elapsed int
	timeout int
	// promised counts down, with leases on, the ticks for which this node told
	// a leader that it refuses votes, whatever term it has moved to since; a
	// restarted node may have promised before (dissertation §6.4.1).
	promised int
	// takeOver is the term in which the leader told this node to campaign while
	// a committed change was not applied yet, or 0.
	takeOver uint64
	// heardRound is the last round of heartbeats that it heard of in this term.
	heardRound uint64
	// roused counts down while the node does not agree to sleep, as its leader may not know yet
	// that it has a reason to be awake.
	roused int

	leader    *leaderState    // while leader
	candidate *candidateState // while (pre-)candidate
	asked     forwardedReads  // reads sent to the leader
	// session tells this life of the node from others in requests for votes;
	// removed is what came back by it, until a Ready tells the host.
	session uint64
	removed []Removal
	warned  warned

	// out is what is collected for the next Ready, or nil. spare are batches for reuse.
	out   *batch
	spare []*batch
	one   [1]pb.Entry // to append a single entry without allocating

	// err is the first fault of Storage; the node does nothing after it.
	err error
}

func newRaft(c *Config) (*raft, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	cfg := c.withDefaults()
	hs, cs, err := cfg.Storage.InitialState()
	if err != nil {
		return nil, &StorageError{"initial state", err}
	}
	if hs.Term > maxTerm || hs.Commit > maxStoredIndex {
		return nil, &StorageError{"hard state", fmt.Errorf("term %d and commit %d", hs.Term, hs.Commit)}
	}
	log, err := newLog(cfg.Storage, hs, cfg.Applied)
	if err != nil {
		return nil, err
	}
	log.maxApplying = cfg.MaxApplyingSize
	r := &raft{
		cfg: &cfg, logger: cfg.Logger, id: cfg.ID,
		// An empty hard state beside a snapshot is a group seeded by hand.
		term: max(hs.Term, log.last.term), vote: hs.Vote,
		log: log,
	}
	if err := r.restoreConf(cs); err != nil {
		return nil, err
	}
	r.remembers = hs.Term > 0
	if r.leasesOn() && r.remembers {
		r.promised = cfg.ElectionTick
	}
	r.asked.nonce = r.instance()
	r.session = r.asked.nonce | 1 // not 0
	r.startTimer()
	r.logger.Info("raft node started", zap.Uint64("id", r.id), zap.Uint64("term", r.term),
		zap.Uint64("last", log.last.index), zap.Uint64("commit", log.committed),
		zap.Uint64("applied", log.applied), zap.Stringer("config", r.conf.cfg))
	return r, nil
}

// restoreConf finds the configuration as of applied, or with OnAppend as of the end
// of the log: the persisted one and the changes in the log since.
func (r *raft) restoreConf(cs pb.ConfState) error {
	cfg, err := confchange.Restore(cs)
	if err != nil {
		return &StorageError{"configuration", err}
	}
	if err := r.takeEffect(&cfg); err != nil {
		return err
	}
	first, err := r.log.firstIndex()
	if err != nil {
		return err
	}
	if cs.Index > r.log.last.index {
		return &StorageError{"configuration", fmt.Errorf("it is of entry %d, the log ends at %d", cs.Index, r.log.last.index)}
	}
	if cs.Index == 0 && (len(cs.Voters) > 0 || first > 1) {
		// Without an index it is as of Applied, by contract. An empty one beside
		// a whole log is that from before the first entry.
		r.conf.set(cfg, 0, r.log.applied)
		cs.Index = r.log.applied
	} else {
		r.conf.set(cfg, cs.Index, cs.Index)
		// The host saves what it applied, also before the commit index is on its disk. Others may
		// have to learn of this change from here (see learnCommit).
		r.log.commitTo(cs.Index)
	}
	end := r.log.applied
	if r.onAppend() {
		end = r.log.last.index
	}
	found, err := r.log.scanConfs(max(cs.Index+1, first), end+1)
	if err != nil {
		return err
	}
	for _, i := range found {
		ents, err := r.log.slice(i, i+1, noLimit)
		if errors.Is(err, ErrCompacted) {
			err = &StorageError{fmt.Sprintf("configuration entry %d", i), err}
		}
		if err != nil {
			return err
		}
		cc, err := pb.UnmarshalConfChange(ents[0])
		if err != nil {
			return &StorageError{fmt.Sprintf("configuration entry %d", i), err}
		}
		r.conf.set(r.changed(r.conf.cfg, cc.AsV2(), i), i, i)
	}
	return nil
}

// takeEffect has a configuration say when changes take effect, or says that it is of a
// group with the other setting. Where it says nothing, the group may be a new one.
func (r *raft) takeEffect(cfg *confchange.Config) error {
	if cfg.Effect == OnAppend && !r.onAppend() {
		return fmt.Errorf("%w: ConfChangeEffect is OnApply, and the group's changes take effect on append", ErrInvalidConfig)
	}
	if len(cfg.Voters[0]) > 0 {
		cfg.Effect = r.cfg.ConfChangeEffect
	}
	return nil
}

// leasesOn reports whether this node promises its leader to refuse votes, and
// may itself serve reads on such promises.
func (r *raft) leasesOn() bool { return r.cfg.ReadOnlyOption != ReadOnlySafe }

// promisedTicks is what responses tell the leader about that promise.
func (r *raft) promisedTicks() uint64 {
	if r.leasesOn() && r.remembers {
		return uint64(r.cfg.ElectionTick)
	}
	return 0
}

// instance draws a number that tells this life of the node from others, also
// where Config.Rand repeats itself, as far as the node's state tells.
func (r *raft) instance() uint64 {
	const prime = 0x9e3779b97f4a7c15 // spreads small numbers over all bits
	n := r.cfg.Rand.Uint64()
	for _, v := range [...]uint64{r.term, r.log.last.index, r.log.committed, r.log.applied} {
		n = (n ^ v) * prime
		n ^= n >> 32
	}
	return n
}

func (r *raft) hardState() pb.HardState {
	return pb.HardState{Term: r.term, Vote: r.vote, Commit: r.log.committed}
}

func (r *raft) softState() SoftState {
	return SoftState{Lead: r.lead, RaftState: r.role, Asleep: r.asleep}
}

// fail makes err, if it is a fault of Storage, the node's last word.
func (r *raft) fail(err error) error {
	if err == nil {
		return nil // inlined, as the rest is not
	}
	return r.failed(err)
}

func (r *raft) failed(err error) error {
	if _, ok := err.(*StorageError); ok && r.err == nil {
		r.err = err
		r.logger.Error("storage failed, the node stops", zap.Uint64("id", r.id), zap.Error(err))
	}
	return err
}

// collecting returns the batch for the next Ready.
func (r *raft) collecting() *batch {
	if r.out == nil {
		r.out = r.newBatch()
	}
	return r.out
}

func (r *raft) newBatch() *batch {
	n := len(r.spare)
	if n == 0 {
		return &batch{}
	}
	b := r.spare[n-1]
	r.spare = r.spare[:n-1]
	return b
}

// maxSpare is how many batches are kept for reuse.
const maxSpare = 2

// reclaim takes back the arrays of a Ready that the host is done with.
func (r *raft) reclaim(b *batch) {
	switch {
	case r.out == nil:
		b.reset()
		r.out = b // the same again, for who does one Ready after the other
	case len(r.spare) < maxSpare:
		b.reset()
		r.spare = append(r.spare, b)
	default:
		*b = batch{} // the queue may refer to it for long
	}
}

// message adds a message that may leave at any time, and returns it to be
// filled. The pointer is valid until the next message.
func (r *raft) message(t pb.MessageType, to uint64) *pb.Message {
	b := r.collecting()
	msgs := added(b.msgs)
	b.msgs = msgs
	m := &msgs[len(msgs)-1]
	m.Type, m.To, m.From, m.Term = t, to, r.id, r.term
	return m
}

// promise adds a message that rests on what this node wrote, and so may leave
// only when all of it is durable: the one way for votes, requests for them and
// append acknowledgements.
func (r *raft) promise(t pb.MessageType, to uint64) *pb.Message {
	b := r.collecting()
	msgs := added(b.promises)
	b.promises = msgs
	m := &msgs[len(msgs)-1]
	m.Type, m.To, m.From, m.Term, m.LeaseTicks = t, to, r.id, r.term, r.promisedTicks()
	return m
}

// withdrawPromises forgets promises of an earlier term that have not left: the
// log that they speak of may be replaced before they do.
func (r *raft) withdrawPromises() {
	if r.out != nil {
		r.out.promises = emptied(r.out.promises)
	}
}

// tick advances the node's clock by one.
func (r *raft) tick() error {
	if r.asleep {
		return nil
	}
	if r.promised > 0 {
		r.promised--
	}
	if r.role == StateLeader {
		return r.leaderTick()
	}
	r.elapsed++
	r.roused -= min(r.roused, 1)
	if len(r.asked.waiting) > 0 {
		r.asked.tick(1, r.cfg.ElectionTick)
	}
	if r.elapsed < r.timeout {
		return nil
	}
	r.elapsed = 0
	r.log.shed() // nobody sends entries
	if r.campaignObstacle() != reasonNone {
		// Explain tells why. It votes for others all the same: a leader that
		// is silent for so long is none (dissertation §4.2.3).
		r.setLead(None)
		r.callLeader()
		return nil
	}
	return r.campaign(r.firstBallot())
}

// startTimer begins a new election timeout of random length (Raft §5.2).
func (r *raft) startTimer() {
	r.elapsed = 0
	r.timeout = r.cfg.ElectionTick + int(r.cfg.Rand.Uint64()%uint64(r.cfg.ElectionTick))
}

// refusesVotes reports whether a vote would break faith with a leader that
// this node heard from within an election timeout (dissertation §4.2.3, §6.4.1).
func (r *raft) refusesVotes() bool {
	switch {
	case r.cfg.DisableCheckQuorum:
		return false
	case r.role == StateLeader, r.promised > 0:
		return true
	}
	return r.lead != None && r.elapsed < r.cfg.ElectionTick
}
