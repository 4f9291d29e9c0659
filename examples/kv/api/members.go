package api

// Addresses are those of a server: Peer, "host:port", is for the other servers, Client
// is the URL of this interface.
type Addresses struct {
	Peer   string `json:"peer"`
	Client string `json:"client"`
}

// Roles that a member has in a configuration.
const (
	RoleVoter   = "voter"
	RoleLearner = "learner"
	// RoleIncoming and RoleOutgoing are voters of only one half of a joint
	// configuration; RoleDemoting is an outgoing one that becomes a learner.
	RoleIncoming = "incoming voter"
	RoleOutgoing = "outgoing voter"
	RoleDemoting = "voter that becomes a learner"
)

// Member is a server of the cluster.
type Member struct {
	ID uint64 `json:"id"`
	Addresses
	// Role is one of RoleVoter and so on.
	Role   string `json:"role"`
	Leader bool   `json:"leader,omitempty"`
	// Progress is what the leader knows; null if another server answers.
	Progress *Progress `json:"progress,omitempty"`
}

// Progress is what the leader knows of a member.
type Progress struct {
	// State is probe, replicate or snapshot.
	State string `json:"state"`
	// Match is up to where its log is known to be the leader's, Behind by how many
	// entries that is less.
	Match  uint64 `json:"match"`
	Behind uint64 `json:"behind"`
	// Active says that it was heard from lately.
	Active bool `json:"active"`
	// SilentSeconds is for how long it was not heard from.
	SilentSeconds float64 `json:"silent_seconds,omitempty"`
	// CatchUp is set while it is brought up to date in order to vote.
	CatchUp *CatchUp `json:"catch_up,omitempty"`
}

// Membership is the configuration in force on the server that answers.
type Membership struct {
	// Cluster is the cluster's ID, in hexadecimal.
	Cluster string `json:"cluster"`
	// Index is that of the log entry that made the configuration.
	Index uint64 `json:"index"`
	// Joint says that it is a joint one: a change is under way.
	Joint bool `json:"joint,omitempty"`
	// Leader is the leader's ID, 0 if none is known.
	Leader  uint64   `json:"leader"`
	Members []Member `json:"members"`
	// Target is what the cluster works towards, null if nothing; Step what the leader does
	// about it, null if another server answers. LastOutcome is how the last one ended.
	Target      *Target  `json:"target,omitempty"`
	Step        *Step    `json:"step,omitempty"`
	LastOutcome *Outcome `json:"last_outcome,omitempty"`
}

// Find returns the member with an ID, or nil.
func (m *Membership) Find(id uint64) *Member {
	for i := range m.Members {
		if m.Members[i].ID == id {
			return &m.Members[i]
		}
	}
	return nil
}

// NewMember asks for a server to be added as a learner. Adding a member that is there, at
// the same addresses, does nothing.
type NewMember struct {
	// ID is one that POST /v1/join gave, with the Claim that it was given to: another
	// is refused, with CodeTaken. With 0 the server gets a new one, which is that of the
	// first Join that asks for it.
	ID    uint64 `json:"id,omitempty"`
	Claim uint64 `json:"claim,omitempty"`
	Addresses
}

// Join asks for what a server needs in order to join. It changes no configuration.
type Join struct {
	// ID is the one that the server wants; 0 leaves it to the cluster. It must be one that
	// a member was added with and no server has asked for, or one above all that were ever
	// given, by 1,000,000 at most; else it is refused, with CodeTaken.
	ID uint64 `json:"id,omitempty"`
	// Claim is a random number, not 0, that the server has on its disk before it asks. The
	// same one gets the same ID, until its member is removed or a thousand others
	// were given IDs. Required.
	Claim uint64 `json:"claim"`
}

// Joined is what a server needs in order to join: its ID and whom it may talk to.
type Joined struct {
	ID uint64 `json:"id"`
	Membership
}

// Replace names the learner that takes the place of a voter.
type Replace struct {
	With uint64 `json:"with"`
}

// Transfer names the voter that is to lead; 0 lets the leader choose.
type Transfer struct {
	To uint64 `json:"to,omitempty"`
}

// Status is the state of one server.
type Status struct {
	ID uint64 `json:"id"`
	// Role is leader, follower, candidate, pre-candidate or learner; Leader the ID of
	// the leader that it knows, or 0.
	Role   string `json:"role"`
	Leader uint64 `json:"leader"`
	Term   uint64 `json:"term"`
	// Commit, Applied, Durable and Last are log indexes: what is committed, applied,
	// on the disk here, and the log's last.
	Commit  uint64 `json:"commit"`
	Applied uint64 `json:"applied"`
	Durable uint64 `json:"durable"`
	Last    uint64 `json:"last"`
	// First is the first log entry that is not compacted.
	First uint64 `json:"first"`
	// Explain says in words what stands in the way, if anything does.
	Explain string `json:"explain,omitempty"`
	// Pending is how many requests wait for their outcome here.
	Pending int `json:"pending"`
	// Writes and Reads count what this server has answered with success since it
	// started, Failures what it has not.
	Writes   uint64 `json:"writes"`
	Reads    uint64 `json:"reads"`
	Failures uint64 `json:"failures"`
	// UptimeSeconds is since it started.
	UptimeSeconds float64    `json:"uptime_seconds"`
	Membership    Membership `json:"membership"`
	// Removed is what the server knows of its own removal, if anything. Once it is sure it
	// stops.
	Removed *Removal `json:"removed,omitempty"`
}

// Removal is what a server knows of its own removal from the cluster.
type Removal struct {
	// Index is the log index of a configuration without it.
	Index uint64 `json:"index"`
	// By are the servers that told it, none if it is in its own log.
	By []uint64 `json:"by,omitempty"`
	// Sure says that it is certain.
	Sure bool `json:"sure"`
}
