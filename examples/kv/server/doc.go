// Package server is one server of the replicated key-value store: the state machine of
// package store behind a replica, its log on pebblestore, package transport to the other
// servers, and the HTTP interface of package api for clients.
//
// # Who a server is
//
// A directory has an identity, the file server.json: the IDs of the cluster and of the
// server, which every start compares. At the first start it is made up: the first
// members of a new cluster are told their IDs and derive the cluster's from the list;
// a server alone takes ID 1 and a random one; a server that joins asks any member for
// an ID that was never used.
//
// No two servers ever have one ID, since others would take the one for the other. So a
// server that joins writes a claim, a random number, to server.json before it asks, and
// the cluster keeps it with the ID: to the same claim it gives the same ID, when the
// answer was lost or the process was, and to another claim never. Until there is an
// answer every start asks again. Before a member is removed its ID is retired, so that
// nothing which was on its way adds it once more.
//
// A first member that lost its directory looks like one that starts for the first time.
// So before it begins it asks the others whether they have seen it running, and waits
// for so many answers that, with itself, they are a majority. A directory that has lost
// its log says so itself. In both cases the server has forgotten what it voted for and
// acknowledged: it is to be removed, and a new one to join.
//
// # Joining
//
// A server that joins is told whom to talk to by the server that it asks, and no more
// is needed. It starts, asks to be added as a learner, and when it has caught up to be
// made a voter; it keeps asking, over restarts too, until that is so. Each server also
// compares the addresses that the configuration has for it with its own, and puts them
// right: that is all there is to changing an address.
//
// A removed server stops with ErrRemoved, and does not start again. It learns of its removal
// from its own log, from as many members as could have removed it, which its replica asks
// for votes, or from one that it asks for the members.
//
// # Requests
//
// Any server takes any request for keys; the replica passes it on to the leader and
// knows the outcome. Changes of membership are redirected to the leader, which is the
// one that knows who has caught up, and why a change is refused.
package server
