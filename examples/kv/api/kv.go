package api

// Entry is a key with its value, and the revision that wrote it: a log index.
type Entry struct {
	Key      Text   `json:"key"`
	Value    Text   `json:"value"`
	Revision uint64 `json:"revision"`
}

// WriteResult is the answer to a put, or a compare-and-set whose condition held.
type WriteResult struct {
	Revision uint64 `json:"revision"`
}

// DeleteResult is the answer to a delete.
type DeleteResult struct {
	// Existed says whether there was something to delete; Revision is 0 if not.
	Existed  bool   `json:"existed"`
	Revision uint64 `json:"revision"`
}

// CompareAndSet sets Key to Value if Expect holds.
type CompareAndSet struct {
	Key    Text   `json:"key"`
	Expect Expect `json:"expect"`
	Value  Text   `json:"value"`
}

// Expect is a condition: exactly one of its fields is set.
type Expect struct {
	// Absent expects that there is no such key.
	Absent bool `json:"absent,omitempty"`
	// Value expects that the key has this value; null is no value.
	Value Text `json:"value,omitzero"`
	// Revision expects that the key was last written at this revision.
	Revision uint64 `json:"revision,omitempty"`
}

// Page is a part of a range of keys.
type Page struct {
	Entries []Entry `json:"entries"`
	// Next is where the rest begins: the next From. Null if this is all.
	Next Text `json:"next"`
	// Revision is the one to watch from in order to miss nothing after this page.
	Revision uint64 `json:"revision"`
}

// Event is a change of a key.
type Event struct {
	Key Text `json:"key"`
	// Value is null if the key was deleted.
	Value    Text   `json:"value"`
	Revision uint64 `json:"revision"`
	Deleted  bool   `json:"deleted,omitempty"`
}

// Changes is a line of a watch: what changed up to and including the revision Through,
// from which a new watch goes on. The first line comes at once, and lines without events
// every two seconds, so that it is seen that the watch lives. A line with an Error is the
// last.
type Changes struct {
	Events  []Event `json:"events"`
	Through uint64  `json:"through"`
	Error   *Error  `json:"error,omitempty"`
}

// Client is the identity of a client that tries its requests again.
type Client struct {
	Client uint64 `json:"client"`
}
