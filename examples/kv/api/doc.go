// Package api has the types of the key-value server's HTTP interface: what goes over
// the wire between package server and package client, or curl.
//
//	GET    /v1/kv/KEY                 Entry; ?consistency=linearizable|lease|stale, ?raw=true: the value alone
//	PUT    /v1/kv/KEY                 body: the value, as it is; WriteResult
//	DELETE /v1/kv/KEY                 DeleteResult
//	POST   /v1/cas                    CompareAndSet; WriteResult, or an Error with CodeMismatch
//	GET    /v1/kv                     Page; ?prefix= or ?from=&to=, ?limit=, ?consistency=
//	GET    /v1/watch                  a line of Changes each time; ?prefix= or ?from=&to=, ?since=
//	POST   /v1/clients                Client: an ID for requests that may be tried again
//	GET    /v1/status                 Status
//	GET    /v1/members                Membership
//	POST   /v1/members                NewMember; adds a learner: Joined
//	PUT    /v1/members/ID             Addresses; changes them: Membership
//	DELETE /v1/members/ID             Membership; ?force=true removes a voter though the rest has no quorum
//	POST   /v1/members/ID/promote     Membership
//	POST   /v1/members/ID/replace     Replace; one joint change: Membership
//	GET    /v1/membership             Membership, as the leader knows it: with progress and the step under way
//	PUT    /v1/membership             SetMembership; TargetSet
//	POST   /v1/membership/plan        SetMembership; MembershipPlan: changes nothing
//	GET    /v1/membership/outcome     Outcome of the target of ?version=; pending if it takes long
//	DELETE /v1/membership             Outcome; gives up the target of ?version=, 0 for whichever stands
//	GET    /v1/repair                 Repair: what this server does about voters that are gone
//	POST   /v1/repair                 PauseRepair, of this server; Repair
//	POST   /v1/transfer               Transfer; Status
//	POST   /v1/join                   Join; Joined: the ID of a claim, and whom to talk to
//
// A KEY is escaped as one element of a path: a slash in it is %2F, and . and .. alone are
// %2E and %2E%2E. Answers have the status 200, or are errors. What changes the
// membership, or hands over leadership, is for the leader: the others answer with a
// redirect (307). Everything else any server takes.
//
// # Once, however often it is tried
//
// A write with the headers ClientHeader and RequestHeader is applied once however
// often it is sent, to whatever server: the ID is one that POST /v1/clients gave,
// the number is higher than all before it, and the next request is made when
// this one has ended. Without the headers a write that is tried again is another
// write.
//
// # Errors
//
// An answer with a status of 400 or more is an Error in JSON. Its code says what is
// certain; see Code.
package api

// Headers that make a write one that may be tried again: decimal numbers.
const (
	ClientHeader  = "Raftkv-Client"
	RequestHeader = "Raftkv-Request"
)

// ClusterHeader, in a request, says which cluster it is meant for. A server of another one
// refuses it with CodeWrongCluster.
const ClusterHeader = "Raftkv-Cluster"

// RevisionHeader is set on the answers to GET /v1/kv/KEY: the entry's revision.
const RevisionHeader = "Raftkv-Revision"

// Consistency says what a read may miss.
type Consistency string

const (
	// Linearizable reads see everything that was acknowledged before they began. The
	// default.
	Linearizable Consistency = "linearizable"
	// Lease reads are Linearizable as long as no clock runs faster or slower than
	// the servers were told it may; they cost the leader no messages.
	Lease Consistency = "lease"
	// Stale reads see what the server that answers has applied, however old that is.
	Stale Consistency = "stale"
)
