// Package core is the work that the benchmarks of consensus cores do, over one small adapter for each
// library: replicas in memory, driven through their RawNode by one and the same loop.
package core

// Library is a consensus core under test. M is its message, as its Step takes it.
type Library[M any] interface {
	// Name is what the tables call it.
	Name() string
	// NewLog makes the log of a host, with entries of term 1 that are committed.
	NewLog(LogConfig) Log
	// NewNode starts a replica over what is in log.
	NewNode(Config, Log) (Node[M], error)
	// Append is a leader's message of n entries after index prev, all of term 1, with everything up to prev committed.
	Append(prev uint64, n int, data []byte) M
	// Marshal appends the bytes of m to dst, and Unmarshal reads them into an empty m, which may keep b.
	Marshal(dst []byte, m *M) ([]byte, error)
	Unmarshal(b []byte, m *M) error
	// Committed returns what computes the committed index of the two halves of a configuration, the second empty
	// unless joint, for the i-th of the given states: an index for each voter 1, 2, ...
	Committed(halves [2][]uint64, acked [][]uint64) func(i int) uint64
	// Vote returns what tells how a vote stands, where granted has the answer of the voters 1, 2, ...
	Vote(voters []uint64, granted [][]bool) func(i int) bool
}

// LogConfig says what a host's log holds at first.
type LogConfig struct {
	// Capacity is how many entries it is made for.
	Capacity int
	// Entries are there already, at indexes from 1.
	Entries int
	// Data is that of each.
	Data []byte
	// Voters and Learners are the configuration.
	Voters, Learners []uint64
}

// Config describes a replica. Pre-vote is on, messages are of at most 1 MiB, 256 of them in flight.
type Config struct {
	ID uint64
	// Applied is what the state machine holds already.
	Applied uint64
	// ElectionTick and HeartbeatTick in ticks; heartbeats go out with every tick if it is 0.
	ElectionTick, HeartbeatTick int
	// SleepAfter is after how many ticks without work a group sleeps, if the library can; never if it is 0.
	SleepAfter int
	// NoCheckQuorum lets voters vote within an election timeout of hearing from a leader.
	NoCheckQuorum bool
	// Lease makes reads rest on leases.
	Lease bool
	// Pipelined has the host take the next Ready before it acknowledges the last.
	Pipelined bool
}

// Log is a host's log, in an array that was made before.
type Log interface {
	// Compact drops what is there, which is applied everywhere, and keeps the array.
	Compact()
	// Reset drops what is there, as if nothing had been written since NewLog.
	Reset()
}

// Count is what a replica has done.
type Count struct {
	// Entries with data that were applied, empty ones, and changes of configuration.
	Entries, Empty, Changes int
	// Reads that were answered.
	Reads int
}

// Clock is what a Node has besides if its host need not tick it at each interval.
type Clock interface {
	// NextDeadline returns in how many ticks one does more than count; false if none will.
	NextDeadline() (ticks int, ok bool)
	// TickBy is n ticks.
	TickBy(n int)
}

// Node is a replica with its host.
type Node[M any] interface {
	Tick()
	Campaign() error
	Propose(data []byte) error
	// ProposeJoint proposes to make id a voter or a learner, by a joint configuration that is left by itself.
	ProposeJoint(id uint64, voter bool) error
	ReadIndex(ctx []byte) error
	// LeaseRead reads by the lease, whatever the host has to do for it.
	LeaseRead() error
	Step(m *M) error
	// Handle takes one Ready, if there is one: persists, sends, applies and acknowledges.
	Handle(net *Net[M]) bool
	// Leads says whether the last Ready that told of a role told of a leader's.
	Leads() bool
	Count() *Count
	// Release drops what belongs to the library and keeps the host.
	Release()
}
