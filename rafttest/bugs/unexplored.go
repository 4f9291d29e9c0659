package bugs

// Unseen is a bug against safety that exploration does not find.
type Unseen struct {
	Number int
	// Why says what the models lack, or what they would need.
	Why string
}

// Unexplored returns the bugs against safety that are not among Explored, by number, each with the reason.
func Unexplored() []Unseen {
	return []Unseen{
		{7, "needs two entries that are lost, a snapshot and a second change; no model showed it within a minute"},
		{21, "needs logs that part under three leaders, so three voters and four terms, which is too large"},
		{43, "in a model no acknowledgement outlives the life of a node"},
		{56, "needs leases, a voter that is added with a slow disk and crashes, and an election; no model showed it within two minutes"},
		{57, "needs a hostile message"},
		{62, "it is in MemoryStorage, and a model has a disk of its own"},
		{63, "it is in MemoryStorage, and a model has a disk of its own"},
		{71, "in a model the host takes a Ready after each message, so no promise waits for the next message"},
		{72, "hosts of a model do not report on snapshots"},
		{83, "storage of a model does not return what was replaced"},
		{89, "needs three voters of which two hold different entries beyond the commit; no model showed it within a minute"},
		{94, "needs a message of a node with another ConfChangeEffect"},
		{108, "targets are not modelled"},
		{120, "groups that sleep are not modelled"},
		{121, "groups that sleep are not modelled"},
		{122, "groups that sleep are not modelled"},
		{124, "groups that sleep are not modelled"},
	}
}
