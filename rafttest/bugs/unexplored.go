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
		{4, "transfers are not modelled"},
		{7, "needs two entries that are lost, a snapshot and a second change; no model showed it within a minute"},
		{21, "needs logs that part under three leaders, so three voters and four terms, which is too large"},
		{26, "reads are not modelled"},
		{27, "reads are not modelled"},
		{43, "in a model no acknowledgement outlives the life of a node"},
		{47, "leases are not modelled"},
		{48, "leases and transfers are not modelled"},
		{56, "leases are not modelled"},
		{57, "needs a hostile message"},
		{59, "reads are not modelled"},
		{60, "reads are not modelled"},
		{62, "it is in MemoryStorage, and a model has a disk of its own"},
		{63, "it is in MemoryStorage, and a model has a disk of its own"},
		{66, "leases are not modelled"},
		{71, "in a model the host takes a Ready after each message, so no promise waits for the next message"},
		{72, "hosts of a model do not report on snapshots"},
		{77, "leases are not modelled"},
		{81, "leases are not modelled"},
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
