package core

// Unit is what a row's value is in.
type Unit uint8

// The units: all are better the lower the value.
const (
	// Time is nanoseconds for each operation.
	Time Unit = iota
	// Rate is nanoseconds for each of many, which tables show as millions in a second.
	Rate
	// Heap is bytes.
	Heap
)

// Row is a row of the table.
type Row struct {
	// Key names it on the command line.
	Key string
	// Title says what is done.
	Title string
	Unit  Unit
	Goal  Goal
}

// Goal is what we are to reach. The times are of the machine on which the peer's were taken, so their ratio is what
// holds on another one.
type Goal struct {
	// Value is at most this, and Peer is what etcd's raft v3.6 needed there. 0 if there is no goal.
	Value, Peer float64
	// Allocs and Messages of an operation are at most these; nil if there is no goal.
	Allocs, Messages *float64
	// Instructions of an operation are at most these, on any machine; 0 if there is no goal.
	Instructions float64
}

// Ratio is the goal as a part of what etcd's raft v3.6 needs, 0 if there is none.
func (g Goal) Ratio() float64 {
	if g.Peer == 0 {
		return 0
	}
	return g.Value / g.Peer
}

const (
	micro  = 1e3
	milli  = 1e6
	second = 1e9
)

// goal is a goal in time, against what v3.6 needed.
func goal(value, peer float64) Goal { return Goal{Value: value, Peer: peer} }

// allocs adds a goal of allocations.
func (g Goal) allocs(n float64) Goal {
	g.Allocs = &n
	return g
}

// messages adds a goal of messages.
func (g Goal) messages(n float64) Goal {
	g.Messages = &n
	return g
}

// instructions adds a goal of instructions.
func (g Goal) instructions(n float64) Goal {
	g.Instructions = n
	return g
}

// Rows returns all rows, in the order of the table.
func Rows() []Row {
	return []Row{
		{"propose/1", "one voter: an entry of 128 B proposed, committed, applied", Time, goal(0.25*micro, 1.65*micro).allocs(0).instructions(2000)},
		{"propose/3", "three voters: the same, applied on all", Time, goal(1.2*micro, 7.5*micro).allocs(0).messages(6).instructions(9000)},
		{"propose/5", "five voters: the same", Time, goal(2.5*micro, 16.4*micro).allocs(0)},
		{"propose/7", "seven voters: the same", Time, goal(3.8*micro, 24.9*micro).allocs(0)},
		{"propose/101", "101 voters: the same", Time, goal(200*micro, 825*micro).allocs(0)},
		{"propose64/3", "three voters: 64 separate proposals before one Ready", Time, goal(10*micro, 348*micro).allocs(0).messages(6).instructions(60_000)},
		{"propose64-pipelined/3", "the same, acknowledged after the next Ready was taken", Time, goal(10*micro, 285*micro)},
		{"read/3", "ReadIndex, three voters: one read in a round", Time, goal(0.6*micro, 3.5*micro).allocs(0)},
		{"read64/3", "ReadIndex, three voters: 64 reads in a round", Time, goal(4*micro, 174*micro)},
		{"lease/3", "a read by the lease", Time, goal(50, 410).allocs(0)},
		{"tick-follower/1", "tick of an idle follower: one group", Time, goal(5, 14)},
		{"tick-follower/10000", "tick of an idle follower: 10,000 groups in turn", Time, goal(20, 165)},
		{"tick-leader/1", "tick of a leader of three, with heartbeats and answers: one group", Time, goal(0.35*micro, 2.0*micro).allocs(0)},
		{"tick-leader/10000", "tick of a leader of three: 10,000 groups in turn", Time, goal(1.2*micro, 7.1*micro).allocs(0)},
		{"idle/3", "idle group of three: all tick, heartbeats are answered", Time, Goal{}.allocs(0).instructions(3000)},
		{"heap-follower", "heap of an idle follower of three", Heap, goal(1200, 2100)},
		{"heap-leader", "heap of an idle leader of three", Heap, goal(1500, 2300)},
		{"election/3", "election with pre-vote: three voters", Time, goal(5*micro, 33*micro).allocs(10)},
		{"election/101", "election with pre-vote: 101 voters", Time, goal(0.6*milli, 4.0*milli).allocs(300)},
		{"joint/3", "joint change through the log: three nodes", Time, goal(8*micro, 32*micro)},
		{"joint/101", "joint change through the log: 101 nodes", Time, goal(2*milli, 17*milli)},
		{"committed/3", "committed index of a majority: three voters", Time, goal(8, 87)},
		{"committed/7", "committed index of a majority: seven voters", Time, goal(15, 124)},
		{"committed/101", "committed index of a majority: 101 voters", Time, goal(600, 6385)},
		{"committed-joint/3", "committed index of a joint configuration: three and three", Time, goal(15, 200)},
		{"committed-joint/101", "committed index of a joint configuration: 101 and 101", Time, goal(1200, 13_500)},
		{"vote/3", "result of a vote: three voters", Time, goal(8, 85)},
		{"vote/101", "result of a vote: 101 voters", Time, goal(100, 1747)},
		{"append/1", "a follower appends: one entry in a message", Time, goal(150, 932).allocs(0)},
		{"append/64", "a follower appends: 64 entries", Time, goal(700, 5178).allocs(0)},
		{"append/1024", "a follower appends: 1024 entries", Time, goal(10*micro, 105.7*micro).allocs(0)},
		{"start/1M", "new RawNode over a million entries", Time, goal(3*micro, 5.4*micro)},
		{"start/101", "new RawNode of 101 voters", Time, goal(0.1*milli, 4.8*milli)},
		{"replay/1M", "replay of a million entries", Time, goal(12*milli, 25*milli)},
		{"campaign/1M", "campaign with a million entries that are not applied", Time, goal(1*micro, 10.7*milli)},
		{"catchup/128", "catching up 100,000 entries of 128 B, over bytes", Rate, goal(second/5e6, second/1.6e6)},
		{"catchup/1024", "catching up 100,000 entries of 1 KiB, over bytes", Rate, goal(second/2e6, second/0.4e6)},
		{"marshal/1", "marshal an append of one entry of 128 B", Time, goal(40, 48).allocs(1)},
		{"marshal/64", "marshal an append of 64 entries", Time, Goal{}},
		{"unmarshal/1", "unmarshal an append of one entry", Time, goal(80, 208).allocs(1)},
		{"unmarshal/64", "unmarshal an append of 64 entries", Time, goal(2.5*micro, 8.8*micro).allocs(3)},
		{"simulate/3", "simulated steps of a group of three", Rate, goal(second/5e6, second/0.98e6)},
	}
}

// Counted are the keys of the rows whose instructions and allocations are gates.
func Counted() []string { return []string{"propose/1", "propose/3", "idle/3", "propose64/3"} }

// RowOf returns the row of that key.
func RowOf(key string) (Row, bool) {
	for _, r := range Rows() {
		if r.Key == key {
			return r, true
		}
	}
	return Row{}, false
}
