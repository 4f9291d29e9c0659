package search

import "io"

// Fingerprint stands for a state in the set of visited states. It must be spread
// evenly over all its bits, as Hash does: the table takes its index from Hi, and
// the states of the search are divided by it.
//
// It has to be the same in every process, as it is saved in checkpoints, so it
// may depend neither on hash/maphash nor on numbers that the model gave out in
// the order in which its workers asked for them.
type Fingerprint struct {
	Hi, Lo uint64
}

// less orders fingerprints as they are sorted in files.
func (f Fingerprint) less(g Fingerprint) bool {
	return f.Hi < g.Hi || f.Hi == g.Hi && f.Lo < g.Lo
}

// Model is what is searched. See the package's comment for what it promises.
type Model interface {
	// Identity names the model, its parameters and the version of its code. A
	// checkpoint of another identity is refused.
	Identity() string
	// NewWorker returns what expands states. Each goroutine of the search has its
	// own. It is called before the search starts, one call at a time.
	NewWorker() Worker
}

// Worker expands states. One goroutine uses it at a time, but other workers of
// the same model run meanwhile.
type Worker interface {
	// Initial emits the initial states. Their actions number them. An error ends
	// the search.
	Initial(out *Out) error
	// Expand emits the successors of state, in an order that is the same each time.
	// It must not keep state or change it. An error says that the model itself
	// failed, and ends the search: what the search is to find goes to Out.Fail, and
	// so does a panic of the code under test, which the worker has to recover.
	Expand(state []byte, out *Out) error
}

// Commuter is a Worker whose model can be searched with sleep sets.
type Commuter interface {
	Worker
	// Commute reports whether a and b, both enabled in state, are independent
	// there: neither disables the other, and both orders lead to the same state. If
	// so, name is what b is called in next, the successor of state by a; that is b
	// itself unless symmetry renames it. It is called from Emit(a, next), when the
	// worker may still know how next came about, and must not change the worker.
	Commute(state []byte, a uint64, next []byte, b uint64) (name uint64, ok bool)
}

// Holder is a Model that keeps more the more states it sees, such as interned parts. What it keeps counts
// against Options.MemoryBytes, and stays there when states go to Options.Dir.
type Holder interface {
	Model
	// Held returns about how many bytes the model keeps. It is called often, by several goroutines.
	Held() int64
}

// Saver is a Model whose states refer to something that it remembers, such as
// interned parts. Nothing else of the model runs during these calls.
type Saver interface {
	Model
	// Save writes all that states which were emitted so far refer to.
	Save(w io.Writer) error
	// Load restores what Save wrote, before the first worker is made.
	Load(r io.Reader) error
}
