package search

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"time"
)

// Options says how a model is searched. The zero value searches in up to a
// gibibyte of memory, with a worker for each processor.
type Options struct {
	// Workers is the number of goroutines that expand states; 0 is GOMAXPROCS.
	// No result depends on it.
	Workers int
	// MemoryBytes bounds what the search holds in memory, with its buffers and with
	// what a Holder says it keeps; 0 is 1 GiB. What does not fit is kept in Dir, but for
	// what the model keeps: if that leaves no room the search ends with ErrMemory. A
	// state takes 24 bytes, 11 to 21 in the table, and 16 and its own while it waits
	// to be expanded; on disk, 24 and the latter.
	MemoryBytes int64
	// Dir is where the search keeps checkpoints, and states beyond MemoryBytes. It
	// belongs to one search at a time, and is made if it does not exist. If it holds
	// a checkpoint, the search goes on from there. Without Dir nothing is written,
	// and a search that needs more than MemoryBytes ends with ErrMemory.
	Dir string
	// SleepSets leaves out transitions whose effect another order of independent
	// actions has. The model's workers must be Commuters.
	SleepSets bool
	// MaxDepth is the depth whose states are not expanded any more; 0 is no bound.
	MaxDepth int
	// MaxStates ends the search after the first layer with which it knows this many
	// states; 0 is no bound.
	MaxStates uint64
	// Progress, if set, is called about once a second, and at the end of each
	// layer, by one goroutine at a time. The workers go on meanwhile.
	Progress func(Progress)

	tune *tuning // of tests
}

// Progress is how far a search is.
type Progress struct {
	// States is how many distinct states were found. While a layer goes through
	// Dir, states of it that were known already may be counted until it ends.
	States uint64
	// Transitions is how many successors were emitted.
	Transitions uint64
	// Depth is that of the layer which is being expanded.
	Depth int
	// Frontier is how many states it has, and Expanded how many of them are done.
	Frontier, Expanded uint64
	// Rate is of new distinct states per second since the last report.
	Rate float64
	// Memory is what Options.MemoryBytes bounds, Disk what is in Options.Dir, both
	// in bytes.
	Memory, Disk int64
	// Elapsed is the time since Run was called.
	Elapsed time.Duration
}

// Result is what a search found.
type Result struct {
	// States is the number of distinct states, Layers how many of them are at each
	// depth, and Depth the greatest depth, all of finished layers.
	States uint64
	Layers []uint64
	Depth  int
	// Transitions is the number of successors that were emitted.
	Transitions uint64
	// Terminal is how many expanded states had no successor.
	Terminal uint64
	// Complete says that every reachable state was expanded. A search with a
	// Violation stops before that.
	Complete bool
	// Violation is a shortest one, or nil.
	Violation *Violation
	// Missed is the expected number of states that were taken for others because
	// their fingerprints collided, if fingerprints are as good as random.
	Missed float64
	// PeakMemory is the most that was held in memory of what Options.MemoryBytes
	// bounds. Spills counts how often it was written out in the middle of a layer.
	PeakMemory int64
	Spills     int
	// Elapsed is the time of this call of Run.
	Elapsed time.Duration
}

// Violation is a state that the model forbids and a shortest path to it.
type Violation struct {
	// Err is what the model said of it.
	Err error
	// Actions lead from States[0], an initial state, to the bad one: Actions[i] from
	// States[i] to States[i+1]. The bad state itself is missing if the model gave
	// none.
	Actions []uint64
	States  [][]byte
}

// Error returns the rule that was broken and the length of the path.
func (v *Violation) Error() string {
	return fmt.Sprintf("after %d actions: %v", len(v.Actions), v.Err)
}

// Unwrap returns Err.
func (v *Violation) Unwrap() error { return v.Err }

var (
	// ErrMemory says that a search without Options.Dir, or its model, needs more memory
	// than Options.MemoryBytes.
	ErrMemory = errors.New("search needs more memory than Options.MemoryBytes")
	// ErrModel says that the model broke a promise, or failed.
	ErrModel = errors.New("model failed")
	// ErrDamaged says that a checkpoint is not what was written.
	ErrDamaged = errors.New("checkpoint is damaged")
	// ErrOtherSearch says that a checkpoint belongs to another search.
	ErrOtherSearch = errors.New("checkpoint is of another search")
)

// tuning is what tests make small.
type tuning struct {
	shardBits uint // log2 of the number of shards
	chunkBits uint // log2 of the records in a chunk
	batch     int  // states that a worker collects
	take      int  // states that a worker takes from the frontier
	fanIn     int  // files of candidates that are read at once
	buffer    int  // bytes of a file's buffer
	noSync    bool // nothing but the process dies
	fault     func(step string) error
}

var defaultTuning = tuning{shardBits: 6, chunkBits: 9, batch: 4096, take: 128, fanIn: 16, buffer: 64 << 10}

// maxRuns is more than the runs of any search: see addRun.
const maxRuns = 40

// buffers is the memory of buffers.
func (t tuning) buffers(workers int) int64 {
	// Items are 32 bytes and have a number of four. What a worker takes from the
	// frontier is estimated by bodies of a kilobyte.
	perWorker := t.batch*36 + maxBatchBytes + t.take*(recordSize+1<<10)
	return int64(workers*perWorker + (t.fanIn+maxRuns+3)*t.buffer)
}

// reserve is what may be inserted when the rest of the memory is used up: the
// batches at hand, and a chunk that each shard begins for them.
func (t tuning) reserve(workers int) int64 {
	perWorker := t.batch*(recordSize+8) + maxBatchBytes
	return int64(workers*perWorker + recordSize<<(t.chunkBits+t.shardBits))
}

// room is what remains of n bytes for states.
func (t tuning) room(workers int, n int64) int64 { return n - t.buffers(workers) - t.reserve(workers) }

// minimum is the memory of a search that holds a chunk of each kind in each shard.
func (t tuning) minimum() int64 {
	return int64(1) << t.shardBits * int64(3*recordSize<<t.chunkBits+16*minSlots)
}

// complete returns o with defaults filled in, or what is wrong with it.
func (o Options) complete() (Options, error) {
	if o.tune == nil {
		t := defaultTuning
		o.tune = &t
	}
	if o.Workers == 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	if o.MemoryBytes == 0 {
		o.MemoryBytes = 1 << 30
	}
	if o.MaxDepth == 0 {
		o.MaxDepth = math.MaxInt
	}
	var faults []error
	if o.Workers < 0 {
		faults = append(faults, fmt.Errorf("search: Workers (%d) must not be negative", o.Workers))
	} else if missing := o.tune.minimum() - o.tune.room(o.Workers, o.MemoryBytes); missing > 0 {
		faults = append(faults, fmt.Errorf("search: MemoryBytes (%d) must be at least %d for %d workers", o.MemoryBytes, o.MemoryBytes+missing, o.Workers))
	}
	if o.MaxDepth < 0 {
		faults = append(faults, fmt.Errorf("search: MaxDepth (%d) must not be negative", o.MaxDepth))
	}
	return o, errors.Join(faults...)
}
